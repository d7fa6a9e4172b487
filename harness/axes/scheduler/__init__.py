"""The solver that turns noise into an image."""

from harness.core.axis import Axis

AXIS = Axis(name="scheduler", summary="the solver", order=30, apply_order=20, default="default")
