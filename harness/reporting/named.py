"""A figure with its name."""

from harness.core.base import Frozen


class Named(Frozen):
    """A name, its value, and a note."""

    name: str
    value: str
    note: str = ""
