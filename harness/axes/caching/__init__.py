"""Results that are reused, within an image or between images."""

from harness.core.axis import Axis

AXIS = Axis(
    name="caching",
    summary="results reused within or between images",
    order=70,
    apply_order=60,
    default="none",
)
