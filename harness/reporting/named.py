"""A figure with its name."""

from collections.abc import Iterable

from harness.core.base import Frozen
from harness.core.units import Absent


class Named(Frozen):
    """A name, its value, and a note."""

    name: str
    value: str
    note: str = ""


def not_measured(figures: Iterable[tuple[str, object]]) -> tuple[Named, ...]:
    """Return the figures that are absent, each reason once with all that it is the reason of."""
    reasons: dict[str, list[str]] = {}
    for name, value in figures:
        if isinstance(value, Absent):
            reasons.setdefault(value.absent, []).append(name)
    made = []
    for reason, names in reasons.items():
        listed = ", ".join((names[0], *(name if name[:3].isupper() else name[:1].lower() + name[1:]
                                        for name in names[1:])))  # fmt: skip
        made.append(Named(name="Not measured", value=listed, note=reason))
    return tuple(made)
