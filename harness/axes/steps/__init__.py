"""The number of denoising steps."""

from harness.core.axis import Axis

AXIS = Axis(name="steps", summary="denoising steps", order=10, default="50", open_value="count")
