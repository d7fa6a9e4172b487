"""Sana: Gemma, a transformer with linear attention, a deep-compression autoencoder."""

import inspect
import math
from typing import ClassVar

from harness.core.model import Arguments, ModelInfo
from harness.models._facts import compute_vae_scale, describe_family
from harness.models._folder import Folder
from harness.models._pipeline import MaskedTextModel


class Sana(MaskedTextModel):
    family: ClassVar = "sana"
    pipeline_class: ClassVar = "SanaPipeline"
    # 300, minus the begin token of the instruction before every prompt.
    text_lengths: ClassVar = {"tokenizer": 299}
    recipe_encode: ClassVar = (
        "pipe.encode_prompt(prompts, guided, device=DEVICE, complex_human_instruction=list("
        'inspect.signature(pipe.__call__).parameters["complex_human_instruction"].default),'
        " **negative)"
    )

    @classmethod
    def describe(cls, folder: Folder) -> ModelInfo:
        scale, config = compute_vae_scale(folder), folder.config("transformer")
        side = int(config.get("sample_size") or 32) * scale
        tags = {"transformer", "cross-attention", "masked-attention"}
        tags |= {"no-block-cache", "no-image-to-image"}
        multiple = math.lcm(32, scale * int(config.get("patch_size", 1)))
        return describe_family(cls.family, folder, 4.5, (side, multiple), tags)

    def _encode(self, prompts: list[str], guided: bool, negative: Arguments) -> tuple[object, ...]:
        parameters = inspect.signature(self.pipeline.__call__).parameters
        instruction = list(parameters["complex_human_instruction"].default)  # as in a plain call
        options = {"device": self.device, "complex_human_instruction": instruction, **negative}
        return tuple(self.pipeline.encode_prompt(prompts, guided, **options))
