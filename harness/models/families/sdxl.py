"""Stable Diffusion XL: two CLIP encoders (or the second alone), a UNet with pooled embeddings."""

import math
from typing import ClassVar

from harness.core.model import ModelInfo
from harness.models._facts import compute_vae_scale, describe_family, list_unet_tags
from harness.models._folder import Folder
from harness.models._pipeline import ENCODERS, UNET_NOISE, PipelineModel


class StableDiffusionXl(PipelineModel):
    family: ClassVar = "sdxl"
    pipeline_class: ClassVar = "StableDiffusionXLPipeline"
    image_pipeline_class: ClassVar = "StableDiffusionXLImg2ImgPipeline"
    denoiser_name: ClassVar = "unet"
    recipe_noise: ClassVar = UNET_NOISE
    encoders: ClassVar = ENCODERS[:2]
    sole_encoder: ClassVar = "text_encoder_2"
    embedding_names: ClassVar = (
        "prompt_embeds", "negative_prompt_embeds",
        "pooled_prompt_embeds", "negative_pooled_prompt_embeds",
    )  # fmt: skip
    # diffusers marks every image if the watermark package is installed.
    fixed_load_arguments: ClassVar = {"add_watermarker": False}

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale, config = compute_vae_scale(folder), folder.config("unet")
        side = int(config.get("sample_size") or 128) * scale
        # In FP16 the pipeline casts the VAE to FP32, if the VAE's configuration asks for it.
        upcast = {"upcasts-vae"} if folder.config("vae").get("force_upcast", True) else set()
        sizes = (side, math.lcm(8, scale))
        return describe_family(cls.family, folder, 5.0, sizes, list_unet_tags(config) | upcast)
