"""Readers of prompt files (plain text, JSON Lines, tables with a header), and their fields."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from harness.core.errors import UsageError
from harness.core.plan import Prompt

TEXT = ("prompt", "caption", "text", "prompts")
"""Names of the field that holds the prompt, as PartiPrompts, MLPerf, GenEval and DrawBench spell
it; case is free."""
ID = ("id", "prompt_id")
CATEGORY = ("category", "tag")
NEGATIVE = ("negative", "negative_prompt")
_LONGEST_ID = 200
"""An id names images: file systems take 255 bytes, with the seed, the suffix and what a temporary
file adds."""


def read_text(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of plain text, one a line, as GenEval's generation_prompts.txt; empty
    lines are skipped."""
    lines = [line.strip() for line in _split_lines(text) if line.strip()]
    return tuple(Prompt(id=text_id(line), text=line) for line in lines)


def read_jsonl(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of JSON Lines, as GenEval's evaluation_metadata.jsonl and the bundled
    sets."""
    numbered = [
        (number, line) for number, line in enumerate(_split_lines(text), start=1) if line.strip()
    ]
    return tuple(_read_line(line, f"{where}, line {number}") for number, line in numbered)


def read_csv(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of a comma-separated table, as DrawBench."""
    return _read_table(csv.DictReader(io.StringIO(text, newline=""), strict=True), where)


def read_tsv(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of a tab-separated table, as PartiPrompts: quotation marks are ordinary
    characters."""
    return _read_table(
        csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE), where
    )


READERS: dict[str, Callable[[str, str], tuple[Prompt, ...]]] = {
    ".txt": read_text,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".tsv": read_tsv,
}
"""File ending → reader of (text, name for messages)."""


def _split_lines(text: str) -> list[str]:
    """Split at line ends only; str.splitlines also splits at characters inside prompts."""
    return re.split(r"\r\n|\r|\n", text)


def _read_line(line: str, where: str) -> Prompt:
    fix = 'A line is {"prompt": "…"}; it may have an "id", a "category" and a "negative" prompt.'
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UsageError(f"not a prompt: {line[:80]}", where, fix) from error
    if not isinstance(fields, dict):
        raise UsageError(f"not a prompt: {line[:80]}", where, fix)
    return read_prompt(fields, where)


def _read_table(reader: "csv.DictReader[str]", where: str) -> tuple[Prompt, ...]:
    try:
        require_text(reader.fieldnames or (), f"{where}, header")
        return tuple(_read_row(row, f"{where}, line {reader.line_num}") for row in reader)
    except csv.Error as error:
        fix = 'A field that begins with " ends with ", and has "" for each one within.'
        raise UsageError(
            f"not a row: {error}", f"{where}, line {reader.line_num + 1}", fix
        ) from error


def _read_row(row: dict[str | None, Any], where: str) -> Prompt:
    if None in row:
        raise UsageError(
            f"more than {len(row) - 1} fields",
            where,
            "Put a field that holds the delimiter into quotes.",
        )
    return read_prompt({str(name): field for name, field in row.items()}, where)


def require_text(names: Iterable[str], where: str) -> None:
    """Raise UsageError unless one of the names is that of a prompt's text; `where` says the file
    and line."""
    known = [str(name) for name in names if name]
    if not any(name.strip().lower() in TEXT for name in known):
        has = ", ".join(known) or "nothing"
        raise UsageError(
            f"no field is called {', '.join(TEXT[:-1])} or {TEXT[-1]}", where, f"It has: {has}."
        )


def read_prompt(fields: Mapping[str, Any], where: str) -> Prompt:
    """Return the prompt of one record: with its own id, or one that is a hash of its text.

    Raises UsageError, with `where` it stands, for a record without a text, or with an id that
    cannot name a file.
    """
    require_text(fields, where)
    lower = {str(name).strip().lower(): value for name, value in fields.items()}
    name = next(name for name in TEXT if name in lower)
    for field in set(lower) & {*TEXT, *CATEGORY, *NEGATIVE}:
        require_characters(lower[field], f'{where}, field "{field}"')
    text = lower[name].strip() if isinstance(lower[name], str) else ""
    if not text:
        raise UsageError(
            f'"{name}" is empty or no text', where, "Give it a prompt, or remove the record."
        )
    known = _first(lower, ID)
    if known and not re.fullmatch(r"[A-Za-z0-9._-]+", known):
        raise UsageError(
            f"prompt id {known!r} cannot name a file", where, "Use letters, digits, '.', '_', '-'."
        )
    if len(known) > _LONGEST_ID:
        what = f"prompt id {known[:20]}… of {len(known)} characters cannot name a file"
        raise UsageError(what, where, f"Use at most {_LONGEST_ID} characters.")
    negative = _first(lower, NEGATIVE)
    return Prompt(
        id=known or text_id(text),
        text=text,
        negative=negative or None,
        category=_first(lower, CATEGORY),
    )


def require_characters(value: object, where: str) -> None:
    """Raise UsageError for text with half of a surrogate pair, which JSON can escape but no file or
    model can hold."""
    lone = re.search("[\ud800-\udfff]", value) if isinstance(value, str) else None
    if lone:
        half = f"\\u{ord(lone[0]):04x}"
        fix = "Write both halves, or neither."
        raise UsageError(f"{half} is half of a surrogate pair, not a character", where, fix)


def text_id(text: str) -> str:
    """Return an id that stays the same when lines move: a hash of the text."""
    return "p" + hashlib.sha256(text.encode()).hexdigest()[:12]


def _first(fields: Mapping[str, Any], names: tuple[str, ...]) -> str:
    found = next((fields[name] for name in names if fields.get(name) is not None), "")
    return str(found).strip()
