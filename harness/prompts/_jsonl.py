"""JSON Lines: one object a line, as GenEval's evaluation_metadata.jsonl and the bundled sets."""

import json

from harness.core.errors import UsageError
from harness.core.plan import Prompt
from harness.prompts._fields import read_prompt
from harness.prompts._text import split_lines


def read(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of all lines; UsageError names the line that is none."""
    numbered = [(number, line) for number, line in enumerate(split_lines(text), start=1) if line.strip()]
    return tuple(_read_line(line, f"{where}, line {number}") for number, line in numbered)


def _read_line(line: str, where: str) -> Prompt:
    fix = 'A line is {"prompt": "…"}; it may have an "id", a "category" and a "negative" prompt.'
    try:
        fields = json.loads(line)
    except ValueError as error:
        raise UsageError(f"not a prompt: {line[:80]}", where, fix) from error
    if not isinstance(fields, dict):
        raise UsageError(f"not a prompt: {line[:80]}", where, fix)
    return read_prompt(fields, where)
