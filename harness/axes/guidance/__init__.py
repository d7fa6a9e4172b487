"""The influence of the prompt on the image."""

from harness.core.axis import Axis

AXIS = Axis(name="guidance", summary="classifier-free guidance scale", order=20, open_value="scale")
