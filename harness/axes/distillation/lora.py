"""Any LoRA of the denoiser: a local file or a hub id. Scheduler, steps and guidance are for the matrix to say."""

from typing import ClassVar

from harness.axes.distillation._distilled import Own
from harness.axes.distillation._weights import Student


class Lora(Own):
    summary: ClassVar[str] = "any LoRA: weights, weight_name, scale, fuse, timesteps"
    needs: ClassVar[str] = "a LoRA file"

    def kind(self) -> Student:
        return Student("lora", "")
