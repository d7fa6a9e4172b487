"""Expand axes into combinations, with exclude and include as in GitHub Actions; select cells by
name."""

import itertools
from fnmatch import fnmatchcase

from harness.axes import read_entry
from harness.core.axis import Setting
from harness.core.matrix import Entry, Matrix

Wish = dict[str, Setting]
"""The settings of a matrix by axis; the plan decides axes that it does not mention."""


def expand(matrix: Matrix) -> list[Wish]:
    """Return the combinations of a matrix, in the order of its file.

    As in GitHub Actions: `exclude` removes every combination that agrees with all its entries;
    `include` adds its entries to every combination they do not contradict, and adds a new
    combination if there is none.
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
    """Return the indices of combinations that an include joins; without any it adds a new one."""
    return [place for place, wish in enumerate(original) if _extends(wish, pattern)]


def read_pattern(entries: dict[str, Entry]) -> Wish:
    """Return the settings of one exclude, include or baseline table."""
    return {axis: read_entry(axis, entry) for axis, entry in entries.items()}


def _agrees(wish: Wish, pattern: Wish) -> bool:
    return all(wish.get(axis) == setting for axis, setting in pattern.items())


def _extends(original: Wish, pattern: Wish) -> bool:
    return all(
        axis not in original or original[axis] == setting for axis, setting in pattern.items()
    )


NAMED = 2
"""Cells named in a note; the others are counted."""


def merge_notes(matrix: Matrix) -> list[str]:
    """Return a note for every include that joins cells of [axes], and for every two that set the
    same axis.

    An axis that is not in [axes] contradicts nothing, so an include with one joins every
    combination that agrees otherwise; of two such includes the later one wins.
    """
    original = combinations(matrix)
    patterns = [read_pattern(pattern) for pattern in matrix.include]
    joined = [
        (number, pattern, find_hosts(original, pattern)) for number, pattern in enumerate(patterns)
    ]
    notes = []
    for number, pattern, hosts in joined:
        new = [axis for axis in pattern if axis not in matrix.axes]
        if hosts and new:
            settings = ", ".join(f"{axis} {pattern[axis]}" for axis in new)
            where, advice = (
                _named(original, hosts),
                f"to add a cell, name {' and '.join(new)} in [axes]",
            )
            notes.append(f"include[{number}] adds no cell. It sets {settings} in {where}: {advice}")
    for (first, earlier, ours), (second, later, theirs) in itertools.combinations(joined, 2):
        both = [place for place in ours if place in theirs]
        for axis in (
            axis for axis in later if both and earlier.get(axis, later[axis]) != later[axis]
        ):
            change = f"{axis} is {later[axis]}, not {earlier[axis]}"
            notes.append(
                f"include[{second}] overwrites include[{first}]: {change}, in "
                f"{_named(original, both)}"
            )
    return notes


def _named(original: list[Wish], places: list[int]) -> str:
    """Return the first few combinations by their settings, and the number of the others."""
    words = [
        " ".join(f"{axis}={setting}" for axis, setting in original[place].items())
        for place in places
    ]
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f"{', '.join(words[:NAMED])}{more}"


def matches(cell_id: str, patterns: tuple[str, ...]) -> bool:
    """Return whether an id fits one of the glob patterns (`*fp8*`, `4-steps_*`); no pattern fits
    all."""
    return not patterns or any(fnmatchcase(cell_id, pattern) for pattern in patterns)
