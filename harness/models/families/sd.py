"""Stable Diffusion 1.x and 2.x: one CLIP text encoder, a UNet with cross-attention."""

import math
from typing import ClassVar

from harness.core.model import Arguments, ModelInfo
from harness.models._facts import compute_vae_scale, describe_family, list_unet_tags
from harness.models._folder import Folder
from harness.models._pipeline import UNET_NOISE, PipelineModel


class StableDiffusion(PipelineModel):
    family: ClassVar = "sd"
    pipeline_class: ClassVar = "StableDiffusionPipeline"
    image_pipeline_class: ClassVar = "StableDiffusionImg2ImgPipeline"
    denoiser_name: ClassVar = "unet"
    recipe_noise: ClassVar = UNET_NOISE
    recipe_encode: ClassVar = "pipe.encode_prompt(prompts, DEVICE, 1, guided, **negative)"
    embedding_names: ClassVar = ("prompt_embeds", "negative_prompt_embeds")
    # The safety checker blackens finished images: it is not part of the measured pipeline.
    fixed_load_arguments: ClassVar = {"safety_checker": None, "requires_safety_checker": False}

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale, config = compute_vae_scale(folder), folder.config("unet")
        side = int(config.get("sample_size") or 64) * scale
        return describe_family(
            cls.family, folder, 7.5, (side, math.lcm(8, scale)), list_unet_tags(config)
        )

    def _encode(self, prompts: list[str], guided: bool, negative: Arguments) -> tuple[object, ...]:
        return tuple(self.pipeline.encode_prompt(prompts, self.device, 1, guided, **negative))
