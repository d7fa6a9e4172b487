"""8-bit float weights of Linear and Conv2d layers, one scale per output channel."""

from typing import ClassVar, Literal

from harness.axes.precision._quantized import warn_of_eager_fp8
from harness.axes.precision._quanto import QuantoActivations
from harness.core.axis import Context
from harness.core.outcome import Caution


class Fp8Quanto(QuantoActivations):
    summary: ClassVar[str] = "fp8 weights of linear and convolution layers; optional activations"
    weights: ClassVar = "fp8"
    tolerance: ClassVar = 0.15
    examples: ClassVar = (
        "fp8-quanto+format=e5m2",
        "fp8-quanto+modules=all",
        "fp8-quanto+activations",
    )

    format: Literal["e4m3fn", "e5m2"] = "e4m3fn"
    """4 bits of exponent and 3 of mantissa, or 5 and 2: more range, fewer digits."""

    def qtype(self) -> str:
        return f"qfloat8_{self.format}"

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        return (*super().cautions(context), *warn_of_eager_fp8(context))
