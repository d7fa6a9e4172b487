"""What PixArt and Sana share: prompts as embeddings with a mask, and a pipeline that would change size or caption."""

from typing import ClassVar

from harness.models._pipeline import PipelineModel


class MaskedTextModel(PipelineModel):
    embedding_names: ClassVar = (
        "prompt_embeds", "prompt_attention_mask", "negative_prompt_embeds", "negative_prompt_attention_mask",
    )  # fmt: skip
    # The matrix says the size, so no binning; cleaning captions depends on which packages are installed.
    fixed_arguments: ClassVar = {"use_resolution_binning": False, "clean_caption": False}
    embedded_arguments: ClassVar = {"negative_prompt": None}
