"""CLIP's tokenizer without files, and prompts that are longer than a text encoder reads."""

import gzip
import json
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.core.model import CutTexts
from harness.models._folder import Folder
from harness.models.families import find_family

END = "<|endoftext|>"
PADS = {"tokenizer": END, "tokenizer_2": "!"}
"""Padding token of each tokenizer of SD 1.5 and SDXL (huggingface/diffusers issue 4153)."""
_MERGES = 49152 - 256 - 2
_LENGTH = 77


def make_clip_tokenizer(name: str) -> Any:
    """Return a tokenizer of SD 1.5 or SDXL by its name: 49,408 tokens, 77 a prompt."""
    from open_clip.tokenizer import bytes_to_unicode
    from transformers import CLIPTokenizer

    merges = _shipped_merges()
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


Count = Callable[[str], int]
_UNBOUNDED = 10**6
"""Tokenizers without a limit have a larger number as limit."""
_SPECIAL = 2
"""Begin and end token of a text."""
_CLIP_WORDS = (
    r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]"
    r"|[^\s\p{L}\p{N}]+"
)


class UncountedError(Exception):
    """Tokens of a prompt cannot be counted; the message is a short reason."""


def find_cut(folder: Folder, texts: Sequence[str]) -> tuple[CutTexts, ...]:
    """Return the texts that text encoders truncate, for each encoder that truncates any."""
    names = [name for name in folder.components if name.startswith("tokenizer")]
    found = [_cut_by(folder, name, texts) for name in names]
    return tuple(cut for cut in found if cut.texts or cut.uncounted)


def _cut_by(folder: Folder, name: str, texts: Sequence[str]) -> CutTexts:
    encoder = name.replace("tokenizer", "text_encoder")
    most = find_family(folder).text_lengths.get(name) or _read_length(folder, name, encoder)
    # A token is at least one letter, so most texts fit without counting.
    long = [text for text in texts if not text.isascii() or len(text) + _SPECIAL > most]
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
        return _clip_counter(_read_merges(place / "merges.txt"))
    return _library_counter(place, kind)


def _library_counter(place: Path, kind: str) -> Count:
    try:
        import transformers

        tokenizer = getattr(transformers, kind).from_pretrained(str(place), local_files_only=True)
    except (ImportError, OSError, ValueError, AttributeError) as error:
        reason = str(error).splitlines()[0]
        raise UncountedError(f"the tokenizer in {place} cannot be read: {reason}") from error
    return lambda text: len(tokenizer(text, truncation=False).input_ids)


def _read_merges(path: Path) -> list[tuple[str, ...]]:
    """Return the merges of a file, else those that open_clip ships: all CLIP models share them."""
    if not path.is_file():
        return _shipped_merges()
    lines = path.read_text(encoding="utf-8").splitlines()
    return [tuple(line.split()) for line in lines if len(line.split()) == 2]


def _shipped_merges() -> list[tuple[str, ...]]:
    """Return the merges that open_clip ships, read without importing it, since it imports torch."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise UncountedError("open_clip is not installed, which ships CLIP's merges")
    shipped = Path(spec.submodule_search_locations[0]) / "bpe_simple_vocab_16e6.txt.gz"
    lines = gzip.decompress(shipped.read_bytes()).decode("utf-8").split("\n")
    return [tuple(line.split()) for line in lines[1 : _MERGES + 1]]


def _clip_counter(merges: list[tuple[str, ...]]) -> Count:
    """Return a counter of CLIP's tokens; the numbers of tokens do not matter for a count."""
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

    letters = pre_tokenizers.ByteLevel.alphabet()
    words = (f"{letter}</w>" for letter in letters)
    tokens = dict.fromkeys([*letters, *words, *map("".join, merges)])
    vocabulary = {token: number for number, token in enumerate(tokens)}
    pieces: Any = [merge for merge in merges if all(piece in vocabulary for piece in merge)]
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=pieces, end_of_word_suffix="</w>"))
    spaces = normalizers.Replace(Regex(r"\s+"), " ")
    steps = [normalizers.NFC(), spaces, normalizers.Lowercase()]
    tokenizer.normalizer = normalizers.Sequence(steps)
    split = pre_tokenizers.Split(Regex(_CLIP_WORDS), behavior="removed", invert=True)
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    tokenizer.add_special_tokens(["<|startoftext|>", "<|endoftext|>"])
    return lambda text: len(tokenizer.encode(text).ids) + _SPECIAL
