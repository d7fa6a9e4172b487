"""IEEE single precision, the baseline without hardware FP16."""

from typing import ClassVar

from harness.axes.precision._quantized import Dtype, set_matmul_precision, write_matmul_precision
from harness.core.axis import Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext, RecipeLines


class Fp32(Dtype):
    summary: ClassVar[str] = "32-bit floats"
    tolerance: ClassVar = 0.0
    dtype: ClassVar = "float32"

    def apply(self, model: TextToImage, setup: Setup) -> Effect | None:
        """On a GPU, use FP32 arithmetic too: torch's convolutions use TF32 by default."""
        if model.pipeline is not None and model.device.startswith("cuda"):
            set_matmul_precision("ieee")
        return super().apply(model, setup)

    def recipe(self, context: RecipeContext) -> RecipeLines:
        before = write_matmul_precision("ieee") if context.device == "cuda" else ()
        return RecipeLines(dtype=self.dtype, before=before)
