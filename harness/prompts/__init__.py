"""Prompt sets: bundled, or read from text, JSON Lines and tables."""

import os.path
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError
from harness.core.matrix import Prompts
from harness.core.parsing import expand_user
from harness.core.plan import Prompt
from harness.prompts._chosen import choose
from harness.prompts._formats import READERS


def prompt_sets() -> tuple[str, ...]:
    """Return the names of the bundled prompt sets."""
    folder = resources.files("harness.prompts") / "data"
    return tuple(
        sorted(
            entry.name.removesuffix(".jsonl")
            for entry in folder.iterdir()
            if entry.name.endswith(".jsonl")
        )
    )


def check_prompt_set(name: str) -> None:
    """Raise UsageError if `name` is neither a bundled set nor an existing file of a format that can
    be read."""
    if name in prompt_sets():
        return
    if not os.path.isfile(expand_user(name)):
        endings = ", ".join(READERS)
        known = did_you_mean(name, prompt_sets())
        raise UsageError(
            f'unknown prompt set "{name}". {known} Or name a file ({endings}) that exists.'
        )
    if Path(name).suffix.lower() not in READERS:
        raise UsageError(
            f'"{name}" does not end in {" or ".join(READERS)}, which say how to read it.'
        )


def load_prompts(wish: Prompts) -> tuple[Prompt, ...]:
    """Return the prompts that a matrix asks for: of a bundled set, or of a file of one prompt a
    line, row or object.

    Raises UsageError, with file and line, for a set that is unknown, empty, too small or ambiguous.
    """
    check_prompt_set(wish.set)
    bundled = wish.set in prompt_sets()
    source: Traversable = (
        resources.files("harness.prompts") / "data" / f"{wish.set}.jsonl"
        if bundled
        else expand_user(wish.set)
    )
    text = _decode(source.read_bytes(), wish.set)
    read = READERS[".jsonl" if bundled else Path(wish.set).suffix.lower()]
    return choose(read(text, wish.set), wish)


def _decode(content: bytes, where: str) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        fix = "Save it as UTF-8 text."
        raise UsageError(f"not UTF-8 text: {error.reason}", f"{where}, line {line}", fix) from error
