"""DMD2: distribution matching distillation of SDXL (Yin et al. 2024), huggingface.co/tianweiy/DMD2.

As in the authors' examples: LCM sampling without guidance at the training timesteps, 999, 749, 499
and 249 for four steps, 399 for one.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from harness.axes.distillation._distilled import Distilled
from harness.axes.distillation._weights import Student


class Dmd2(Distilled):
    """`unet` loads the whole UNet instead of the LoRA; 1 step exists as a UNet only."""

    summary: ClassVar[str] = "SDXL in 4 steps (LoRA or unet) or 1"
    needs: ClassVar[str] = "hf download tianweiy/DMD2"

    steps: Literal[1, 4] = 4
    unet: bool = False

    def students(self) -> Mapping[str, Student]:
        whole = self.unet or self.steps == 1
        name = f"dmd2_sdxl_{self.steps}step_unet_fp16"
        return {
            "sdxl": Student(
                kind="denoiser" if whole else "lora",
                repo="tianweiy/DMD2",
                files=(f"{name}.bin", f"{name}.safetensors")
                if whole
                else ("dmd2_sdxl_4step_lora_fp16.safetensors",),
                steps=(self.steps, self.steps),
                brings={"scheduler": "lcm", "guidance": "1", "steps": str(self.steps)},
                solver="consistency",
                timesteps=(399,) if self.steps == 1 else (999, 749, 499, 249),
            )
        }
