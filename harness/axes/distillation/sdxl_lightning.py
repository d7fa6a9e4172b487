"""SDXL-Lightning: progressive adversarial distillation of SDXL (Lin et al. 2024).

As on the card of huggingface.co/ByteDance/SDXL-Lightning: Euler with trailing timesteps, no
guidance, exactly the weights' number of steps; the one-step UNet predicts the sample.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from harness.axes.distillation._distilled import Distilled
from harness.axes.distillation._weights import Student


class SdxlLightning(Distilled):
    """`steps` selects the weights; `unet` loads the whole UNet, the only form of 1 step."""

    summary: ClassVar[str] = "SDXL in 1, 2, 4 or 8 steps; LoRA or unet"
    needs: ClassVar[str] = "hf download ByteDance/SDXL-Lightning"

    steps: Literal[1, 2, 4, 8] = 4
    unet: bool = False

    def students(self) -> Mapping[str, Student]:
        return {"sdxl": self._lightning()}

    def _lightning(self) -> Student:
        form = "unet_x0" if self.steps == 1 else "unet" if self.unet else "lora"
        return Student(
            kind="lora" if form == "lora" else "denoiser",
            repo="ByteDance/SDXL-Lightning",
            files=(f"sdxl_lightning_{self.steps}step_{form}.safetensors",),
            steps=(self.steps, self.steps),
            brings={"scheduler": "euler-trailing", "guidance": "1", "steps": str(self.steps)},
            solver="first-order",
            prediction="sample" if self.steps == 1 else "",
        )
