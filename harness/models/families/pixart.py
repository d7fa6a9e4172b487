"""PixArt-Σ: T5, a transformer with cross-attention, noise prediction."""

import math
from typing import ClassVar

from harness.core.model import Arguments, ModelInfo
from harness.models._facts import compute_vae_scale, describe_family
from harness.models._folder import Folder
from harness.models._pipeline import MaskedTextModel


class PixArtSigma(MaskedTextModel):
    family: ClassVar = "pixart"
    pipeline_class: ClassVar = "PixArtSigmaPipeline"
    text_lengths: ClassVar = {"tokenizer": 300}
    recipe_encode: ClassVar = "pipe.encode_prompt(prompts, guided, device=DEVICE, **negative)"

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale, config = compute_vae_scale(folder), folder.config("transformer")
        side = int(config.get("sample_size") or 128) * scale
        tags = {"transformer", "cross-attention", "masked-attention"}
        tags |= {"no-block-cache", "no-image-to-image", "no-lora"}
        multiple = math.lcm(8, scale * int(config.get("patch_size", 2)))
        return describe_family(cls.family, folder, 4.5, (side, multiple), tags)

    def _encode(self, prompts: list[str], guided: bool, negative: Arguments) -> tuple[object, ...]:
        return tuple(self.pipeline.encode_prompt(prompts, guided, device=self.device, **negative))
