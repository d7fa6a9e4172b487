"""FP32 weights, multiplied by tensor cores with 10 bits of mantissa."""

from typing import ClassVar

from harness.axes.precision._quantized import Dtype, set_matmul_precision, write_matmul_precision
from harness.core.axis import Setup, Unavailable, require_gpu
from harness.core.effect import Effect, FixedEffect
from harness.core.machine import Machine
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext, RecipeLines


class Tf32(Dtype):
    summary: ClassVar[str] = "32-bit floats multiplied as 19-bit ones"
    needs: ClassVar = "a GPU of capability 8.0"
    conflicts: ClassVar = frozenset({"no-torch"})
    tolerance: ClassVar = 0.02
    dtype: ClassVar = "float32"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        return require_gpu(machine, (8, 0), hint="use bf16 or fp32 here")

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        """Switch matrix products and convolutions, and check that a product loses bits."""
        error = set_matmul_precision("tf32")
        summary = f"matrix products and convolutions in TF32, with a relative error of {error:.0e}"
        return FixedEffect(summary, {"error": error})

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(dtype=self.dtype, before=write_matmul_precision("tf32"))
