"""What is computed once and used again, within an image or between images."""

from harness.core.axis import Axis

AXIS = Axis(name="caching", summary="work done once and used again", order=70, apply_order=60, default="none")
