"""Hyper-SD: trajectory-segmented consistency distillation (Ren et al. 2024).

From huggingface.co/ByteDance/Hyper-SD; settings are its authors' examples, as public code quotes
them. SD 1.5 and SDXL, without guidance: LoRAs for 2, 4 and 8 steps with DDIM, trailing; the 1-step
LoRA with TCD and η = 1, for 1 to 8 steps; SDXL's one-step UNet with LCM at timestep 800. SD3 (4, 8,
16 steps; guidance 3, 5, 7) and FLUX.1-dev (8, 16 steps; guidance 3.5): LoRAs at scale 0.125 with
the model's default scheduler.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

from harness.axes.distillation._distilled import Distilled
from harness.axes.distillation._weights import Student

REPO = "ByteDance/Hyper-SD"
SD3_GUIDANCE = {4: "3", 8: "5", 16: "7"}
"""By steps: the LoRAs for SD3 keep guidance ("CFG")."""


class HyperSd(Distilled):
    """`steps` selects the weights; `unet` loads SDXL's whole one-step UNet."""

    summary: ClassVar[str] = "SD 1.5, SDXL, SD3, FLUX.1-dev in 1 to 16 steps"
    needs: ClassVar[str] = "hf download ByteDance/Hyper-SD"

    steps: Literal[1, 2, 4, 8, 16] = 8
    unet: bool = False

    def students(self) -> Mapping[str, Student]:
        if self.unet:
            return {"sdxl": self._one_step_unet()} if self.steps == 1 else {}
        students: dict[str, Student] = {}
        if self.steps <= 8:
            names = {"sd": "SD15", "sdxl": "SDXL"}
            students |= {family: self._for_diffusion(name) for family, name in names.items()}
        if self.steps >= 4:
            file = f"Hyper-SD3-{self.steps}steps-CFG-lora.safetensors"
            students["sd3"] = self._for_flow(file, SD3_GUIDANCE[self.steps])
        if self.steps >= 8:
            file = f"Hyper-FLUX.1-dev-{self.steps}steps-lora.safetensors"
            students["flux"] = self._for_flow(file, "3.5")
        return students

    def _for_diffusion(self, word: str) -> Student:
        one = self.steps == 1
        return Student(
            kind="lora",
            repo=REPO,
            files=(f"Hyper-{word}-{self.steps}step{'' if one else 's'}-lora.safetensors",),
            steps=(1, 8) if one else (self.steps, self.steps),
            brings=self._settings("tcd+eta=1" if one else "ddim+trailing"),
            solver="consistency" if one else "first-order",
        )

    def _one_step_unet(self) -> Student:
        file = "Hyper-SDXL-1step-Unet.safetensors"
        brings = self._settings("lcm")
        return Student(
            "denoiser", REPO, (file,), (1, 1), brings, solver="consistency", timesteps=(800,)
        )

    def _for_flow(self, file: str, guidance: str) -> Student:
        brings = {"guidance": guidance, "steps": str(self.steps)}
        return Student("lora", REPO, (file,), (self.steps, self.steps), brings, scale=0.125)

    def _settings(self, scheduler: str) -> dict[str, str]:
        return {"scheduler": scheduler, "guidance": "1", "steps": str(self.steps)}
