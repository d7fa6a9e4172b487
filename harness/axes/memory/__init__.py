"""Where weights are kept, and how the VAE decodes."""

from harness.core.axis import Axis

AXIS = Axis(
    name="memory",
    summary="where weights are kept and how the VAE decodes",
    order=75,
    apply_order=40,
    default="none",
)
