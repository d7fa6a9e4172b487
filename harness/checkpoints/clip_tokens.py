"""Count CLIP's tokens without torch, for the text encoders of models and metrics."""

import gzip
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

Count = Callable[[str], int]
_MERGES = 49152 - 256 - 2
SPECIAL = 2
"""Tokens for the begin and the end of a text."""
_CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]"
    r"|[^\s\p{L}\p{N}]+"
)


class UncountedError(Exception):
    """The tokens of a prompt cannot be counted; the message says why in a few words."""


def read_merges(path: Path) -> list[tuple[str, ...]]:
    """Return the merges of a file, else those that open_clip ships: all CLIP models share them."""
    if not path.is_file():
        return shipped_merges()
    lines = path.read_text(encoding="utf-8").splitlines()
    return [tuple(line.split()) for line in lines if len(line.split()) == 2]


def shipped_merges() -> list[tuple[str, ...]]:
    """Return the merges that open_clip ships, read without importing it, since it imports torch."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise UncountedError("open_clip is not installed, which ships CLIP's merges")
    shipped = Path(spec.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(shipped.read_bytes()).decode("utf-8").split("\n")
    return [tuple(line.split()) for line in lines[1 : _MERGES + 1]]


def clip_counter(merges: list[tuple[str, ...]]) -> Count:
    """Return a counter of CLIP's tokens; the numbers of tokens do not matter for a count."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    letters = pre_tokenizers.ByteLevel.alphabet()
    tokens = dict.fromkeys(
        [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
    )
    vocabulary = {token: number for number, token in enumerate(tokens)}
    pieces: Any = [merge for merge in merges if all(piece in vocabulary for piece in merge)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pieces, end_of_word_suffix="</w>"))
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    return lambda text: len(tokenizer.encode(text).ids) + SPECIAL
