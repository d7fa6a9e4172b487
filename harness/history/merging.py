"""Add nights to a history: readings in the order of time, each run once."""

from collections.abc import Iterable, Iterator
from datetime import timedelta
from itertools import pairwise
from typing import Any

import numpy as np

from harness.core.history import Night
from harness.history.night import NightRun
from harness.history.quantities import QUANTITIES, find_quantity
from harness.history.table import Columns, History, Names

BEHIND = timedelta(seconds=1)
"""A night whose clock was set back is placed so long after the night before."""
_DECLARED = {quantity.name: place for place, quantity in enumerate(QUANTITIES)}


def merge_nights(history: History, found: Iterable[NightRun]) -> History:
    """Return a history with these nights, each in the place of a known one of its name."""
    fresh = {each.night.run: each for each in found}
    if not fresh:
        return history
    known = {night.run: night for night in history.nights}
    kept = [night for night in history.nights if night.run not in fresh]
    added = [_place(each.night, known.get(run)) for run, each in fresh.items()]
    nights = tuple(sorted((*kept, *added), key=lambda night: (night.time, night.run)))
    places = {night.run: place for place, night in enumerate(nights)}
    old = _renumber(history, places, set(fresh))
    rows = [(places[run], *row) for run, each in fresh.items() for row in each.rows]
    names, new = _encode(history.names, rows)
    joined = [np.concatenate([old[place], new[place]]) for place in range(len(Columns._fields))]
    order = np.argsort(joined[0], kind="stable")
    columns = Columns._make(column[order] for column in joined)
    return History(history.lineage, nights, *_order_quantities(names, columns), history.notes)


def list_night_runs(history: History) -> Iterator[NightRun]:
    """Yield every night of a history with its rows."""
    columns, names = history.columns, history.names
    starts = np.searchsorted(columns.run, np.arange(len(history.nights) + 1))
    for night, (start, end) in zip(history.nights, pairwise(starts), strict=True):
        rows = [
            (names.cells[columns.cell[row]], names.quantities[columns.quantity[row]],
             float(columns.value[row]), float(columns.low[row]), float(columns.high[row]),
             names.bases[columns.basis[row]])
            for row in range(start, end)
        ]  # fmt: skip
        yield NightRun(history.lineage, night, rows)


def place_last(history: History, run: str) -> History:
    """Return the history with a run placed last on its machine, even if the clock was set back."""
    mine = next((night for night in history.nights if night.run == run), None)
    if mine is None:  # nothing of it was measured
        return history
    others = (night for night in history.nights_on(mine.machine) if night is not mine)
    newest = max((night.time for night in others), default=mine.time - BEHIND)
    if newest < mine.time:
        return history
    note = (
        f"the clock was set back: it says {mine.time:%Y-%m-%d %H:%M}, and an earlier night has "
        f"{newest:%Y-%m-%d %H:%M}. The night is placed after it"
    )
    placed = mine.model_copy(update={"time": newest + BEHIND, "notes": (*mine.notes, note)})
    rows = next(each.rows for each in list_night_runs(history) if each.night.run == run)
    rest = [each for each in list_night_runs(history) if each.night.run != run]
    return History(history.lineage, notes=history.notes).merge(
        [*rest, NightRun(history.lineage, placed, rows)]
    )


def _place(night: Night, known: Night | None) -> Night:
    """Keep the time and notes that a night was recorded with: a clock may have been set back."""
    if known is None:
        return night
    return night.model_copy(update={"time": known.time, "notes": known.notes})


def _renumber(history: History, places: dict[str, int], replaced: set[str]) -> Columns:
    """Return the readings of the nights that stay, with the nights' new places."""
    now = np.array([-1 if night.run in replaced else places[night.run] for night in history.nights],
                   dtype=np.int32)  # fmt: skip
    if not history.nights:
        return history.columns
    run = now[history.columns.run]
    kept = run >= 0
    return Columns._make((run[kept], *(column[kept] for column in history.columns[1:])))


def _encode(names: Names, rows: list[tuple[Any, ...]]) -> tuple[Names, Columns]:
    """Return rows (place, cell, quantity, value, low, high, basis) as columns of codes."""
    run, cell, quantity, value, low, high, basis = zip(*rows, strict=True) if rows else [()] * 7
    known = [{name: code for code, name in enumerate(column)} for column in names]
    codes = [
        np.array([table.setdefault(name, len(table)) for name in column], dtype=np.int32)
        for table, column in zip(known, (cell, quantity, basis), strict=True)
    ]
    figures = [np.array(column, dtype=np.float64) for column in (value, low, high)]
    columns = Columns._make((np.array(run, dtype=np.int32), *codes, *figures))
    return Names(*(tuple(table) for table in known)), columns


def _order_quantities(names: Names, columns: Columns) -> tuple[Names, Columns]:
    """Put declared quantities first, then losses, then figures that only explain."""

    def rank(name: str) -> tuple[bool, int]:
        return (not find_quantity(name).watched, _DECLARED.get(name, len(_DECLARED)))

    ordered = sorted(names.quantities, key=rank)
    if tuple(ordered) == names.quantities:
        return names, columns
    moved = np.array([ordered.index(name) for name in names.quantities], dtype=np.int32)
    changed = columns._replace(quantity=moved[columns.quantity])
    return names._replace(quantities=tuple(ordered)), changed
