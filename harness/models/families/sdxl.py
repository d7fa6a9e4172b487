"""Stable Diffusion XL: two CLIP text encoders (or the second alone), a UNet with pooled text embeddings."""

import math
from typing import ClassVar

from harness.core.model import ModelInfo
from harness.models._facts import facts, unet_tags, vae_scale
from harness.models._folder import Folder
from harness.models._pipeline import PipelineModel


class StableDiffusionXl(PipelineModel):
    family: ClassVar = "sdxl"
    pipeline_class: ClassVar = "StableDiffusionXLPipeline"
    image_pipeline_class: ClassVar = "StableDiffusionXLImg2ImgPipeline"
    denoiser_name: ClassVar = "unet"
    embedding_names: ClassVar = (
        "prompt_embeds", "negative_prompt_embeds", "pooled_prompt_embeds", "negative_pooled_prompt_embeds",
    )  # fmt: skip
    # diffusers marks every picture where the watermark package happens to be installed.
    fixed_load_arguments: ClassVar = {"add_watermarker": False}

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale, config = vae_scale(folder), folder.config("unet")
        side = int(config.get("sample_size") or 128) * scale
        # In FP16 the pipeline casts the VAE to FP32 for its call, if the VAE asks for it, as it does by default.
        upcast = {"upcasts-vae"} if folder.config("vae").get("force_upcast", True) else set()
        return facts(
            cls.family, folder, 5.0, (side, math.lcm(8, scale)), unet_tags(config) | upcast
        )
