"""Readers of prompt files: plain text, JSON Lines, and tables with a header."""

import csv
import io
import json
import re
from collections.abc import Callable
from typing import Any

from harness.core.errors import UsageError
from harness.core.plan import Prompt
from harness.prompts._fields import read_prompt, require_text, text_id


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
