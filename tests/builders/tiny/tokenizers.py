"""Tokenizers made on the spot, as short as the tiny encoders."""

import inspect
from typing import Any

from diffusers import SanaPipeline

from harness.models._synthesis import clip_tokenizer, gemma_tokenizer, t5_tokenizer

LENGTH = 24


def clip() -> Any:
    return clip_tokenizer(LENGTH)


def t5() -> Any:
    return t5_tokenizer(LENGTH)


def gemma() -> Any:
    """Return a tokenizer that learned Sana's long instruction."""
    instruction = inspect.signature(SanaPipeline.__call__).parameters["complex_human_instruction"].default
    return gemma_tokenizer(LENGTH, instruction, 700)
