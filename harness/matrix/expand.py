"""From axes to combinations, with exclude and include as in GitHub Actions."""

import itertools

from harness.axes import read_entry
from harness.core.axis import Setting
from harness.core.matrix import Entry, Matrix

Wish = dict[str, Setting]
"""The settings a matrix asks for, by axis; axes it leaves open are decided by the plan."""


def expand(matrix: Matrix) -> list[Wish]:
    """Return the combinations a matrix asks for, in the order of its file.

    As in GitHub Actions: `exclude` removes every combination that agrees with all its entries; `include` adds
    its entries to every combination they do not contradict, and becomes a combination of its own if there is none.
    """
    original = combinations(matrix)
    wishes = [dict(wish) for wish in original]
    added: list[Wish] = []
    for pattern in (read_pattern(pattern) for pattern in matrix.include):
        hosts = find_hosts(original, pattern)
        for place in hosts:
            wishes[place].update(pattern)
        if not hosts:
            added.append(pattern)
    return wishes + added


def combinations(matrix: Matrix) -> list[Wish]:
    """Return the product of the axes, without what is excluded."""
    axes = list(matrix.axes)
    values = [[read_entry(axis, entry) for entry in matrix.axes[axis]] for axis in axes]
    product = [dict(zip(axes, chosen, strict=True)) for chosen in itertools.product(*values)]
    excluded = [read_pattern(pattern) for pattern in matrix.exclude]
    return [wish for wish in product if not any(_agrees(wish, pattern) for pattern in excluded)]


def find_hosts(original: list[Wish], pattern: Wish) -> list[int]:
    """Return the places of the combinations that an include joins; none: it becomes one of its own."""
    return [place for place, wish in enumerate(original) if _extends(wish, pattern)]


def read_pattern(entries: dict[str, Entry]) -> Wish:
    """Return the settings of one exclude, include or baseline table."""
    return {axis: read_entry(axis, entry) for axis, entry in entries.items()}


def _agrees(wish: Wish, pattern: Wish) -> bool:
    return all(wish.get(axis) == setting for axis, setting in pattern.items())


def _extends(original: Wish, pattern: Wish) -> bool:
    return all(axis not in original or original[axis] == setting for axis, setting in pattern.items())
