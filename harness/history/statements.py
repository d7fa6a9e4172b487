"""What a reader of a history must know besides its figures: breaks, gaps, and odd clocks."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise
from statistics import median

from harness.core.history import Night
from harness.core.units import plural
from harness.history.table import History

_GAP = 1.6
"""A distance of so many usual ones between two nights means that a night is missing."""
_FEW = 4


def list_statements(history: History) -> tuple[str, ...]:
    """Return sentences on a damaged file, new series, changed cells, missing nights, clocks."""
    found = list(history.notes)
    for machine in history.machines:
        nights = [night for night in history.nights_on(machine) if not night.repetition_of]
        found += _state_beginnings(history, machine)
        found += _state_cells(nights)
        found += _state_gaps(machine, nights)
        found += [f"{night.run}: {note}." for night in nights for note in night.notes]
    return tuple(found)


def _state_beginnings(history: History, machine: str) -> Iterator[str]:
    grouped: dict[tuple[str, str], int] = {}
    for (where, *_), breaks in history.beginnings().items():
        for key in breaks if where == machine else ():
            grouped[key] = grouped.get(key, 0) + 1
    for (run, what), count in grouped.items():
        yield (
            f"{plural(count, 'series begins', 'series begin')} anew with {run}: {what}. "
            "Earlier nights are not comparable with it."
        )


def _state_cells(nights: list[Night]) -> Iterator[str]:
    for before, after in pairwise(nights):
        sides = (("was added", "were added", set(after.cells) - set(before.cells)),
                 ("was removed", "were removed", set(before.cells) - set(after.cells)))  # fmt: skip
        for one, many, cells in sides:
            if cells:
                verb = one if len(cells) == 1 else many
                yield f"{_list(sorted(cells))} {verb} with {after.run}."
        if before.baseline != after.baseline:
            yield (
                f"The baseline changed with {after.run}: {before.baseline} → {after.baseline}. "
                "Losses and normalized latencies begin anew."
            )


def _state_gaps(machine: str, nights: list[Night]) -> Iterator[str]:
    distances = [after.time - before.time for before, after in pairwise(nights)]
    if len(distances) < 3:
        return
    usual = timedelta(seconds=median(distance.total_seconds() for distance in distances))
    for (before, after), distance in zip(pairwise(nights), distances, strict=True):
        if usual and distance > _GAP * usual:
            missing = round(distance / usual) - 1
            yield (
                f"{plural(missing, 'night is', 'nights are')} missing on {machine} between "
                f"{before.time:%d %B %Y} and {after.time:%d %B %Y}."
            )


def _list(names: list[str]) -> str:
    more = f" and {len(names) - _FEW} more" if len(names) > _FEW else ""
    return ", ".join(names[:_FEW]) + more
