"""FP32 weights, multiplied by tensor cores that read 10 bits of each factor's mantissa."""

from typing import ClassVar

from harness.axes.precision._dtype import Dtype
from harness.axes.precision._multiply import multiply_in
from harness.core.axis import Setup, Unavailable
from harness.core.effect import Effect, FixedEffect
from harness.core.machine import Machine
from harness.core.model import TextToImage


class Tf32(Dtype):
    summary: ClassVar[str] = "32-bit floats multiplied as 19-bit ones"
    needs: ClassVar = "a GPU of capability 8.0"
    conflicts: ClassVar = frozenset({"no-torch"})
    tolerance: ClassVar = 0.02
    dtype: ClassVar = "float32"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if not machine.gpus:
            return Unavailable(reason="TF32 is a format of GPUs", hint="use bf16 or fp32 here")
        if machine.gpus[0].capability < (8, 0):
            return Unavailable(reason=f"no TF32 before capability 8.0: {machine.gpus[0].name}", hint="use fp16")
        return None

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        """Switch matrix products and convolutions, and see that a product really loses bits."""
        error = multiply_in("tf32")
        return FixedEffect(
            f"matrix products and convolutions in TF32: a product is off by {error:.0e}", {"error": error}
        )
