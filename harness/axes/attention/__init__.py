"""The attention kernel."""

from harness.core.axis import Axis

AXIS = Axis(
    name="attention", summary="the attention kernel", order=65, apply_order=50, default="sdpa"
)
