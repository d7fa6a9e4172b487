"""Any LoRA of the denoiser: a local file or a hub id; the matrix sets scheduler and steps."""

from typing import ClassVar

from harness.axes.distillation._distilled import UserWeights
from harness.axes.distillation._weights import Student


class Lora(UserWeights):
    summary: ClassVar[str] = "any LoRA: weights, weight_name, scale, fuse, timesteps"
    needs: ClassVar[str] = "a LoRA file"

    def kind(self) -> Student:
        return Student("lora", "")
