"""How many images one timed call makes."""

from harness.core.axis import Axis

AXIS = Axis(
    name="batch",
    summary="images per timed call",
    order=90,
    apply_order=100,
    default="1",
    open_value="images",
)
