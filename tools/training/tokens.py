"""A CLIP tokenizer with one token per word of the shapes world, and bytes for other text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from harness import shapes_world as world

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

LENGTH = 24  # tokens of a caption, padded; the longest caption of the world has 15
START, END = "<|startoftext|>", "<|endoftext|>"


def words() -> list[str]:
    """Every word that a caption of the world can hold, in a fixed order."""
    kinds = [*world.SIZES, *world.COLOURS, *world.SHAPES, *world.BACKGROUNDS]
    return list(
        dict.fromkeys(["a", "on", "background", *kinds, *" ".join(world.RELATIONS).split()])
    )


def _bytes() -> list[str]:
    """The printable character that byte-level BPE uses for each of the 256 bytes."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    table = {b: chr(b) for b in plain} | {b: chr(256 + n) for n, b in enumerate(others)}
    return [table[b] for b in plain + others]


def vocabulary() -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Token ids and BPE merges: each word is merged from its characters, left to right."""
    merges: list[tuple[str, str]] = []
    for word in words():
        parts = [*word[:-1], word[-1] + "</w>"]
        for pair in merges:
            parts = _merge(parts, pair)
        while len(parts) > 1:
            merges.append((parts[0], parts[1]))
            parts = _merge(parts, merges[-1])
    singles = _bytes()
    tokens = [*singles, *(s + "</w>" for s in singles), *("".join(m) for m in merges), START, END]
    return {token: i for i, token in enumerate(dict.fromkeys(tokens))}, merges


def _merge(parts: list[str], pair: tuple[str, str]) -> list[str]:
    out: list[str] = []
    for part in parts:
        if out and (out[-1], part) == pair:
            out[-1] += part
        else:
            out.append(part)
    return out


def build(folder: Path) -> CLIPTokenizer:
    """Write vocab.json and merges.txt into a folder and load them as a tokenizer."""
    from transformers import CLIPTokenizer

    vocab, merges = vocabulary()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    vocab_file, merges_file = str(folder / "vocab.json"), str(folder / "merges.txt")
    return CLIPTokenizer.from_pretrained(
        str(folder), vocab_file=vocab_file, merges_file=merges_file, pad_token=END,
        bos_token=START, eos_token=END, unk_token=END, model_max_length=LENGTH,
    )  # fmt: skip
