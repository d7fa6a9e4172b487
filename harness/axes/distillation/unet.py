"""Any weights of a whole denoiser (UNet or transformer): a local file or a hub id."""

from typing import ClassVar

from harness.axes.distillation._distilled import UserWeights
from harness.axes.distillation._weights import Student


class Unet(UserWeights):
    summary: ClassVar[str] = "any whole denoiser: weights, weight_name, timesteps"
    needs: ClassVar[str] = "a file of denoiser weights"
    conflicts: ClassVar = frozenset({"no-pipeline"})

    def kind(self) -> Student:
        return Student("denoiser", "", ("diffusion_pytorch_model.safetensors",))
