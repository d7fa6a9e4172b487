"""Prompt sets: data, and one loader."""

import hashlib
import json
import os.path
import re
from collections import Counter
from importlib import resources
from pathlib import Path

from harness.core.catalog import did_you_mean
from harness.core.errors import UsageError
from harness.core.plan import Prompt


def prompt_sets() -> tuple[str, ...]:
    """Return the names of the bundled prompt sets."""
    folder = resources.files("harness.prompts") / "data"
    return tuple(
        sorted(entry.name.removesuffix(".jsonl") for entry in folder.iterdir() if entry.name.endswith(".jsonl"))
    )


def check_prompt_set(name: str) -> None:
    """Raise UsageError if `name` is neither a bundled set nor an existing text file."""
    if name not in prompt_sets() and not os.path.isfile(name):
        raise UsageError(f'unknown prompt set "{name}". {did_you_mean(name, prompt_sets())} Or name a text file.')


def load_prompts(name: str, limit: int = 0) -> tuple[Prompt, ...]:
    """Return the first `limit` prompts of a set (0: all), from a bundled set or a file of one prompt a line.

    A line of a .jsonl file holds `id` and `text`; a plain line's id is a hash of its text, so that it stays
    the same when lines move. Raises UsageError for an unknown, empty or ambiguous set.
    """
    check_prompt_set(name)
    bundled = name in prompt_sets()
    source = resources.files("harness.prompts") / "data" / f"{name}.jsonl" if bundled else Path(name)
    try:
        text = source.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"not UTF-8 text: {error.reason} at byte {error.start}", name, "One prompt a line.") from error
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    as_json = bundled or name.endswith(".jsonl")
    prompts = tuple(_read_line(line, as_json, name) for line in lines)[: limit or None]
    if not prompts:
        raise UsageError("the prompt set is empty", name, "Give it at least one prompt a line.")
    if limit > len(prompts):
        raise UsageError(f"{limit} prompts asked for, the set has {len(prompts)}", name, "Lower prompts.limit.")
    twice = [prompt_id for prompt_id, count in Counter(prompt.id for prompt in prompts).items() if count > 1]
    if twice:
        raise UsageError(f"the prompt {twice[0]!r} stands there twice", name, "Images are paired by prompt id.")
    return prompts


def _read_line(line: str, as_json: bool, name: str) -> Prompt:
    if not as_json:
        return Prompt(id="p" + hashlib.sha256(line.encode()).hexdigest()[:12], text=line)
    try:
        entry = json.loads(line)
        prompt = Prompt(id=str(entry["id"]), text=str(entry["text"]))
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"not a prompt: {line[:80]}", name, 'A line is {"id": "…", "text": "…"}.') from error
    if not re.fullmatch(r"[A-Za-z0-9._-]+", prompt.id):
        raise UsageError(f"prompt id {prompt.id!r} cannot name a file", name, "Use letters, digits, '.', '_', '-'.")
    return prompt
