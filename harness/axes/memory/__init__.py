"""Where the weights wait, and how much is decoded at once."""

from harness.core.axis import Axis

AXIS = Axis(
    name="memory", summary="where weights wait and how the VAE decodes", order=75, apply_order=40, default="none"
)
