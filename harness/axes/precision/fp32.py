"""IEEE single precision: the baseline where no hardware FP16 exists."""

from typing import ClassVar

from harness.axes.precision._quantized import Dtype, multiply_in
from harness.core.axis import Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage


class Fp32(Dtype):
    summary: ClassVar[str] = "32-bit floats"
    tolerance: ClassVar = 0.0
    dtype: ClassVar = "float32"

    def apply(self, model: TextToImage, setup: Setup) -> Effect | None:
        """On a GPU, multiply in full FP32 too: torch's convolutions would use TF32 there."""
        if model.pipeline is not None and model.device.startswith("cuda"):
            multiply_in("ieee")
        return super().apply(model, setup)
