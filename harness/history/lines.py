"""Watched lines of a machine: every series by night, without what most cells share that night."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.history.quantities import LATENCY, find_quantity
from harness.history.table import History, Series
from harness.stats.changes import common_movement, row_medians

Floats = NDArray[np.float64]

BROKEN_SHARE = "broken_share"
LEAST_SCALE = 0.002
"""The least night-to-night noise: 0.2 % of a relative quantity, 0.2 points of a loss or share."""


class Line(NamedTuple):
    """A series by night (n,), NaN where absent: logarithms of relative quantities.

    `own` is without what cells share, `shared` is that. `cell` is '' for the machine.
    """

    cell: str
    quantity: str
    own: Floats
    shared: Floats
    half_widths: Floats

    @property
    def least_scale(self) -> float:
        """The least noise from night to night; of shares of few images that of their interval."""
        usual = float(np.median(self.half_widths[np.isfinite(self.own)]))
        return max(LEAST_SCALE, usual / 1.96 if self.quantity == BROKEN_SHARE else 0.0)

    def restore(self, level: float) -> float:
        """Return a level in the quantity's unit."""
        is_relative = find_quantity(self.quantity).scale == "relative"
        return float(np.exp(level)) if is_relative else level


def list_lines(history: History, machine: str) -> tuple[list[Line], list[Line]]:
    """Return the lines of cells, and those of the machine and the baseline.

    Latencies of cells are ratios to the baseline's of the same night.
    """
    reader = _Reader(history, machine)
    cells: list[Line] = []
    lines: list[Line] = []
    for quantity in history.quantities:
        found = reader.read(quantity)
        clock = reader.read_clock(quantity)
        lines += [clock] if clock is not None else []
        if found:
            common = common_movement(np.stack([line.own for line in found]))
            cells += [line._replace(own=line.own - common, shared=common) for line in found]
        if len(found) >= 3:
            lines.append(_describe_common(found, common, clock, reader.baseline))
    return cells, lines


class _Reader:
    def __init__(self, history: History, machine: str) -> None:
        self.history, self.machine = history, machine
        self.baseline = history.baseline(machine)
        nights = history.nights_on(machine)
        self.places = {night.run: place for place, night in enumerate(nights)}

    def read(self, quantity: str) -> list[Line]:
        """Return the lines of every cell that has readings with a place on the line."""
        found = (
            self.history.relative_latency(self.machine, cell)
            if quantity == LATENCY
            else self.history.series(self.machine, cell, quantity)
            for cell in self.history.cells
            if quantity != LATENCY or cell != self.baseline
        )
        lines = (self._to_line(series) for series in found if series.values.size)
        return [line for line in lines if np.isfinite(line.own).any()]  # 0 s has no logarithm

    def read_clock(self, quantity: str) -> Line | None:
        """Return the baseline's own latency, which is the machine's clock."""
        if quantity != LATENCY or not self.baseline:
            return None
        series = self.history.series(self.machine, self.baseline, LATENCY)
        return self._to_line(series)._replace(cell="") if series.values.size else None

    def _to_line(self, series: Series) -> Line:
        own, half = np.full((2, len(self.places)), np.nan)
        at = [self.places[run] for run in series.runs.tolist()]
        ends = np.stack([series.values, series.low, series.high]).astype(np.float64)
        if find_quantity(series.quantity).scale == "relative":
            ends = np.log(np.where(ends > 0, ends, np.nan))
        own[at], half[at] = np.where(np.isfinite(ends[0]), ends[0], np.nan), (ends[2] - ends[1]) / 2
        half = np.where(np.isfinite(half), half, 0.0)
        return Line(series.cell, series.quantity, own, np.zeros_like(own), half)


def _describe_common(
    found: Sequence[Line], common: Floats, clock: Line | None, baseline: str
) -> Line:
    """Return what cells share, in the unit of the baseline's readings or of the middle cell's.

    What ratios to the baseline share is the baseline's own, the other way round.
    """
    values = np.stack([line.own for line in found])
    moved = np.where(np.isfinite(values).any(axis=0), common, np.nan)
    if clock is not None:
        cell, usual, moved = baseline, clock.own, -moved
    else:
        mine = [line.own for line in found if line.cell == baseline]
        cell, usual = "", mine[0] if mine else row_medians(values.T)
    distance = usual - moved
    known = distance[np.isfinite(distance)]
    own = moved + (float(np.median(known)) if known.size else 0.0)
    return Line(cell, found[0].quantity, own, np.zeros_like(own), np.zeros_like(own))
