"""Order of cells: by the bound that each surely keeps; ties go to the likelier Pareto cell."""

from collections.abc import Sequence

from harness.core.quality import Interval
from harness.core.units import Absent
from harness.deployment.decision_table import Objective
from harness.deployment.figures import DecisionFigure, read_figure
from harness.results import CellResult

TIE = 0.05
"""Bounds this close (as a share; of losses in absolute terms a fifth of it) can tie."""


class RankedCells:
    """Cells in order, and those that tie with the first."""

    def __init__(self, cells: Sequence[CellResult], objective: Objective) -> None:
        known = [(cell, read_figure(cell, objective)) for cell in cells]
        self.figures: dict[str, DecisionFigure] = {
            cell.id: found for cell, found in known if isinstance(found, DecisionFigure)
        }
        self.objective = objective
        measured = [cell for cell in cells if cell.id in self.figures]
        ordered = sorted(measured, key=lambda cell: self.figures[cell.id].bound)
        tied = [cell for cell in ordered if self._ties(ordered[0], cell)]
        tied.sort(key=lambda cell: (-_front_probability(cell), self.figures[cell.id].bound))
        self.tied = tuple(tied)
        self.cells = (*tied, *(cell for cell in ordered if cell not in tied))

    def _ties(self, first: CellResult, cell: CellResult) -> bool:
        """Return whether a cell cannot be distinguished from the first and is hardly worse.

        Times are compared by the paired ratio, which cancels the machine's drift.
        """
        best, other = self.figures[first.id], self.figures[cell.id]
        if self.objective == "loss":
            return other.low <= best.bound and other.bound <= best.bound + TIE / 5
        close = other.bound <= best.bound * (1 + TIE)
        if not close or self.objective in ("memory", "cost"):
            return close
        ratio = compare_times(first, cell)
        return not isinstance(ratio, Interval) or ratio.low <= 1 <= ratio.high


def compare_times(other: CellResult, cell: CellResult) -> Interval | Absent:
    """Return seconds per image of `other` ÷ of `cell`, paired through the baseline."""
    from harness.stats.speedup import over_other

    if other is cell:
        return Interval(estimate=1.0, low=1.0, high=1.0, method="the same cell")
    if other.samples is None or cell.samples is None:
        return other.absence if other.samples is None else cell.absence
    found = over_other(cell.run.baseline.samples, other.samples, cell.samples)
    return found if isinstance(found, Absent) else found.interval


def _front_probability(cell: CellResult) -> float:
    """Return the probability that a cell is on the run's Pareto front of time and loss."""
    return cell.pareto_point.probability if cell.pareto_point else 0.0
