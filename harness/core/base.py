"""The base of every record (immutable, no unknown fields), and the type of progress callbacks."""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """A record that cannot change and refuses fields it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="null", protected_namespaces=())


Advance = Callable[[str, int, int], None]
"""Hears (what, done, total)."""


def ignore(what: str, done: int, total: int) -> None:
    """Take no notice of progress."""
