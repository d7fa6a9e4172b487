"""CLIP's tokenizer from the vocabulary that open_clip ships, for checkpoints that come without one."""

import gzip
from typing import Any

END = "<|endoftext|>"
PADS = {"tokenizer": END, "tokenizer_2": "!"}
"""What each tokenizer of SD 1.5 and SDXL pads with (huggingface/diffusers issue 4153)."""
_MERGES = 49152 - 256 - 2
_LENGTH = 77


def clip_tokenizer(name: str) -> Any:
    """Return the tokenizer that pipelines of SD 1.5 and SDXL call by this name: 49,408 tokens, 77 a prompt."""
    from open_clip.tokenizer import bytes_to_unicode, default_bpe
    from transformers import CLIPTokenizer

    with gzip.open(default_bpe(), "rt", encoding="utf-8") as file:
        merges = [tuple(line.split()) for line in file.read().split("\n")[1 : _MERGES + 1]]
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(pair) for pair in merges)]
    vocabulary = {token: number for number, token in enumerate([*tokens, "<|startoftext|>", END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, pad_token=PADS[name], model_max_length=_LENGTH)
