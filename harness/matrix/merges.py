"""What includes change in cells that are there already, where somebody may have meant to add one."""

import itertools

from harness.core.matrix import Matrix
from harness.matrix.expand import Wish, combinations, find_hosts, read_pattern

NAMED = 2
"""So many cells are named in a note; of more, the number."""


def merge_notes(matrix: Matrix) -> list[str]:
    """Return a note for every include that joins cells of [axes], and for every two that set the same there.

    An axis that is not in [axes] contradicts nothing, so an include with one joins every combination it agrees
    with otherwise, and of two that set it in the same combination the later one wins.
    """
    original = combinations(matrix)
    patterns = [read_pattern(pattern) for pattern in matrix.include]
    joined = [(number, pattern, find_hosts(original, pattern)) for number, pattern in enumerate(patterns)]
    notes = []
    for number, pattern, hosts in joined:
        new = [axis for axis in pattern if axis not in matrix.axes]
        if hosts and new:
            settings = ", ".join(f"{axis} {pattern[axis]}" for axis in new)
            where, advice = _named(original, hosts), f"for a cell of its own, name {' and '.join(new)} in [axes]"
            notes.append(f"include[{number}] adds no cell, it sets {settings} in {where}: {advice}")
    for (first, earlier, ours), (second, later, theirs) in itertools.combinations(joined, 2):
        both = [place for place in ours if place in theirs]
        for axis in (axis for axis in later if both and earlier.get(axis, later[axis]) != later[axis]):
            change = f"{axis} is {later[axis]}, not {earlier[axis]}"
            notes.append(f"include[{second}] overwrites include[{first}]: {change}, in {_named(original, both)}")
    return notes


def _named(original: list[Wish], places: list[int]) -> str:
    """The first few combinations by their settings, and how many more there are."""
    words = [" ".join(f"{axis}={setting}" for axis, setting in original[place].items()) for place in places]
    more = f" and {len(words) - NAMED} more" if len(words) > NAMED else ""
    return f"{', '.join(words[:NAMED])}{more}"
