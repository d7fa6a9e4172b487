"""Turbo: adversarial diffusion distillation (Sauer et al. 2023), and FLUX.1-Turbo-Alpha.

sd-turbo (of SD 2.1) and sdxl-turbo are whole UNets by Stability AI: 1 to 4 steps with trailing
timesteps, without guidance, at 512x512 (diffusers' guide to SDXL Turbo). Ancestral Euler for both
is common practice, not checked against the repositories. alimama-creative's LoRA of FLUX.1-dev: 8
steps, guidance 3.5, scale 1, as guides quote its card.
"""

from collections.abc import Mapping
from typing import ClassVar

from harness.axes.distillation._distilled import Distilled
from harness.axes.distillation._weights import Student

UNET = ("unet/diffusion_pytorch_model.fp16.safetensors", "unet/diffusion_pytorch_model.safetensors")
BRINGS = {"scheduler": "euler-ancestral+trailing", "guidance": "1", "steps": "1"}
FLUX = "alimama-creative/FLUX.1-Turbo-Alpha"


class Turbo(Distilled):
    summary: ClassVar[str] = "sd-turbo, sdxl-turbo (1–4 steps), FLUX.1-Turbo-Alpha (8)"
    needs: ClassVar[str] = "hf download stabilityai/sdxl-turbo"

    def students(self) -> Mapping[str, Student]:
        turbo = Student("denoiser", "", UNET, (1, 4), BRINGS, solver="first-order", side=512)
        brings = {"guidance": "3.5", "steps": "8"}
        return {
            "sdxl": turbo._replace(repo="stabilityai/sdxl-turbo"),
            "sd": turbo._replace(repo="stabilityai/sd-turbo"),
            "flux": Student("lora", FLUX, ("diffusion_pytorch_model.safetensors",), (8, 8), brings),
        }
