"""The base of every record (immutable, no unknown fields), and the type of progress callbacks."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """An immutable record that rejects unknown fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", ser_json_inf_nan="null", protected_namespaces=()
    )


Advance = Callable[[str, int, int], None]
"""Called with (what, done, total)."""


def ignore(what: str, done: int, total: int) -> None:
    """Discard progress."""
