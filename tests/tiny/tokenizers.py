"""Tokenizers made on the spot, as short as the tiny encoders."""

import inspect
from typing import Any

from diffusers import SanaPipeline

from harness.models._synthesis import make_clip_tokenizer, make_gemma_tokenizer, make_t5_tokenizer

LENGTH = 24


def clip() -> Any:
    return make_clip_tokenizer(LENGTH)


def t5() -> Any:
    return make_t5_tokenizer(LENGTH)


def gemma() -> Any:
    """Return a tokenizer that learned Sana's long instruction."""
    instruction = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    return make_gemma_tokenizer(LENGTH, instruction, 700)
