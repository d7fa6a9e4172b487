"""The size of the image."""

from harness.core.axis import Axis

AXIS = Axis(name="resolution", summary="width x height in pixels", order=80, open_value="pixels")
