"""How the denoiser is compiled and executed."""

from harness.core.axis import Axis

AXIS = Axis(
    name="compiler",
    summary="how the denoiser is executed",
    order=60,
    apply_order=90,
    default="eager",
)
