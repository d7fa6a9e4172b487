"""Stable Diffusion 3 and 3.5: two CLIP encoders and T5, a transformer with joint attention."""

from typing import ClassVar

from harness.core.model import Arguments, ModelInfo
from harness.models._facts import compute_vae_scale, describe_family
from harness.models._folder import Folder
from harness.models._pipeline import ENCODERS, PipelineModel


class StableDiffusion3(PipelineModel):
    family: ClassVar = "sd3"
    pipeline_class: ClassVar = "StableDiffusion3Pipeline"
    image_pipeline_class: ClassVar = "StableDiffusion3Img2ImgPipeline"
    encoders: ClassVar = ENCODERS
    recipe_encode: ClassVar = (
        "pipe.encode_prompt(prompts, None, None, device=DEVICE, "
        'do_classifier_free_guidance=guided, **{"negative_prompt": "", **negative})'
    )
    text_lengths: ClassVar = {"tokenizer_3": 256}
    embedding_names: ClassVar = (
        "prompt_embeds", "negative_prompt_embeds",
        "pooled_prompt_embeds", "negative_pooled_prompt_embeds",
    )  # fmt: skip

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale, config = compute_vae_scale(folder), folder.config("transformer")
        side = int(config.get("sample_size") or 128) * scale
        tags = {"transformer", "joint-attention", "no-block-cache"}
        multiple = scale * int(config.get("patch_size", 2))
        return describe_family(cls.family, folder, 7.0, (side, multiple), tags)

    def _encode(self, prompts: list[str], guided: bool, negative: Arguments) -> tuple[object, ...]:
        options = {"device": self.device, "do_classifier_free_guidance": guided}
        options |= {"negative_prompt": "", **negative}
        return tuple(self.pipeline.encode_prompt(prompts, None, None, **options))
