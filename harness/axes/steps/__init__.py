"""How many denoising steps are asked for."""

from harness.core.axis import Axis

AXIS = Axis(name="steps", summary="denoising steps asked for", order=10, default="50", open_value="count")
