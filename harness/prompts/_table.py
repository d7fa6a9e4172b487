"""Tables with a header: PartiPrompts and MLPerf's captions (.tsv), DrawBench (.csv)."""

import csv
import io
from typing import Any

from harness.core.errors import UsageError
from harness.core.plan import Prompt
from harness.prompts._fields import read_prompt, require_text


def read_csv(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of all rows; UsageError names the column that is missing, or the line that is no row."""
    return _read(csv.DictReader(io.StringIO(text, newline=""), strict=True), where)


def read_tsv(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of all lines; a quotation mark is a letter as any other, as PartiPrompts has it."""
    return _read(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE), where)


def _read(reader: "csv.DictReader[str]", where: str) -> tuple[Prompt, ...]:
    try:
        require_text(reader.fieldnames or (), f"{where}, header")
        return tuple(_read_row(row, f"{where}, line {reader.line_num}") for row in reader)
    except csv.Error as error:
        fix = 'A field that begins with " ends with ", and has "" for each one within.'
        raise UsageError(f"not a row: {error}", f"{where}, line {reader.line_num + 1}", fix) from error


def _read_row(row: dict[str | None, Any], where: str) -> Prompt:
    if None in row:
        raise UsageError(f"more than {len(row) - 1} fields", where, "Put a field that holds the delimiter into quotes.")
    return read_prompt({str(name): field for name, field in row.items()}, where)
