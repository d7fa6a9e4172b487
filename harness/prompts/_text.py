"""Plain text: one prompt a line, as GenEval's generation_prompts.txt."""

import re

from harness.core.plan import Prompt
from harness.prompts._fields import text_id


def read(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of a text; empty lines are none."""
    lines = [line.strip() for line in split_lines(text) if line.strip()]
    return tuple(Prompt(id=text_id(line), text=line) for line in lines)


def split_lines(text: str) -> list[str]:
    """Return the lines that an editor shows: str.splitlines also ends one at separators that a prompt may hold."""
    return re.split(r"\r\n|\r|\n", text)
