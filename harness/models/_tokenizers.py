"""CLIP's tokenizer without files, and prompts that are longer than a text encoder reads."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.checkpoints.clip_tokens import (
    SPECIAL,
    Count,
    UncountedError,
    clip_counter,
    read_merges,
    shipped_merges,
)
from harness.core.model import CutTexts
from harness.models._folder import Folder
from harness.models.families import find_family

END = "<|endoftext|>"
PADS = {"tokenizer": END, "tokenizer_2": "!"}
"""Padding token of each tokenizer of SD 1.5 and SDXL (huggingface/diffusers issue 4153)."""
_LENGTH = 77


def make_clip_tokenizer(name: str) -> Any:
    """Return a tokenizer of SD 1.5 or SDXL by its name: 49,408 tokens, 77 a prompt."""
    from open_clip.tokenizer import bytes_to_unicode
    from transformers import CLIPTokenizer

    merges = shipped_merges()
    letters = list(bytes_to_unicode().values())
    tokens = [
        *letters,
        *(f"{letter}</w>" for letter in letters),
        *("".join(pair) for pair in merges),
    ]
    vocabulary = {token: number for number, token in enumerate([*tokens, "<|startoftext|>", END])}
    return CLIPTokenizer(
        vocab=vocabulary, merges=merges, pad_token=PADS[name], model_max_length=_LENGTH
    )


_UNBOUNDED = 10**6
"""Tokenizers without a limit have a larger number as limit."""


def find_cut(folder: Folder, texts: Sequence[str]) -> tuple[CutTexts, ...]:
    """Return the texts that text encoders truncate, for each encoder that truncates any."""
    names = [name for name in folder.components if name.startswith("tokenizer")]
    found = [_cut_by(folder, name, texts) for name in names]
    return tuple(cut for cut in found if cut.texts or cut.uncounted)


def _cut_by(folder: Folder, name: str, texts: Sequence[str]) -> CutTexts:
    encoder = name.replace("tokenizer", "text_encoder")
    most = find_family(folder).text_lengths.get(name) or _read_length(folder, name, encoder)
    # A token is at least one letter, so most texts fit without counting.
    long = [text for text in texts if not text.isascii() or len(text) + SPECIAL > most]
    if not long:
        return CutTexts(encoder=encoder)
    try:
        count = _counter(folder, name)
    except UncountedError as error:
        return CutTexts(encoder=encoder, uncounted=str(error))
    return CutTexts(
        encoder=encoder, tokens=most, texts=tuple(text for text in long if count(text) > most)
    )


def _read_length(folder: Folder, name: str, encoder: str) -> int:
    """Return the token limit in the tokenizer's files, or the encoder's positions."""
    try:
        settings = json.loads(
            (folder.path / name / "tokenizer_config.json").read_text(encoding="utf-8")
        )
    except (OSError, ValueError):
        settings = {}
    limits = (
        settings.get("model_max_length"),
        folder.config(encoder).get("max_position_embeddings"),
    )
    return min((int(limit) for limit in limits if limit and limit < _UNBOUNDED), default=_UNBOUNDED)


def _counter(folder: Folder, name: str) -> Count:
    from tokenizers import Tokenizer

    place, kind = folder.path / name, folder.components[name][1]
    if (place / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(place / "tokenizer.json"))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return lambda text: len(tokenizer.encode(text).ids)
    if kind.startswith("CLIP"):
        return clip_counter(read_merges(place / "merges.txt"))
    return _library_counter(place, kind)


def _library_counter(place: Path, kind: str) -> Count:
    try:
        import transformers

        tokenizer = getattr(transformers, kind).from_pretrained(str(place), local_files_only=True)
    except (ImportError, OSError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise UncountedError(f"the tokenizer in {place} cannot be read: {reason}") from error
    return lambda text: len(tokenizer(text, truncation=False).input_ids)
