"""The number format of weights and arithmetic."""

from harness.core.axis import Axis

AXIS = Axis(
    name="precision",
    summary="number format of weights and arithmetic",
    order=50,
    apply_order=30,
    default="auto",
)
