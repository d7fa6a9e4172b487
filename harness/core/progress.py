"""How long work tells how far it is."""

from collections.abc import Callable

Advance = Callable[[str, int, int], None]
"""Hears (what, done, total)."""


def ignore(what: str, done: int, total: int) -> None:
    """Take no notice of progress."""
