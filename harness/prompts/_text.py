"""Plain text: one prompt a line, as GenEval's generation_prompts.txt."""

from harness.core.plan import Prompt
from harness.prompts._fields import text_id


def read(text: str, where: str) -> tuple[Prompt, ...]:
    """Return the prompts of a text; empty lines are none."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return tuple(Prompt(id=text_id(line), text=line) for line in lines)
