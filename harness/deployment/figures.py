"""What a cell is ranked by: an estimate and the bound that it surely keeps."""

from collections.abc import Callable

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.deployment.decision_table import Objective
from harness.results import CellResult
from harness.results.timing import NormalizedLatency


class DecisionFigure(Frozen):
    """A figure of which less is better.

    `bound` is the worse end of its 95 % interval, or the estimate where one measurement has none.
    """

    estimate: float
    low: float
    bound: float

    @property
    def has_interval(self) -> bool:
        return self.bound > self.low


def read_figure(cell: CellResult, objective: Objective) -> DecisionFigure | Absent:
    """Return what a cell is ranked by, or why it is absent."""
    return _READERS[objective](cell)


def _read_latency(cell: CellResult) -> DecisionFigure | Absent:
    """Seconds of one call on the baseline's clock."""
    batch = cell.timed.batch if isinstance(cell.timed, Completed) else 1
    return _from_latency(cell.normalized, batch)


def _read_image_s(cell: CellResult) -> DecisionFigure | Absent:
    """Seconds per image on the baseline's clock."""
    return _from_latency(cell.normalized, 1.0)


def _from_latency(found: NormalizedLatency | Absent, factor: float) -> DecisionFigure | Absent:
    return found if isinstance(found, Absent) else _scale(found.image_s, factor)


def _scale(value: Interval, factor: float) -> DecisionFigure:
    return DecisionFigure(
        estimate=value.estimate * factor, low=value.low * factor, bound=value.high * factor
    )


def _read_memory(cell: CellResult) -> DecisionFigure | Absent:
    peak = cell.peak_memory
    if isinstance(peak, Absent):
        return peak
    return DecisionFigure(estimate=peak.count, low=peak.count, bound=peak.count)


def _read_loss(cell: CellResult) -> DecisionFigure | Absent:
    if cell.is_baseline:
        return DecisionFigure(estimate=0.0, low=0.0, bound=0.0)
    worst = cell.worst_loss
    return worst if isinstance(worst, Absent) else _scale(worst.loss, 1.0)


def _read_cost(cell: CellResult) -> DecisionFigure | Absent:
    """The cost of an image; its interval is that of the seconds per image."""
    cost, latency = cell.image_cost, cell.normalized
    if isinstance(cost, Absent):
        return cost
    if isinstance(latency, Absent):
        return latency
    return _scale(latency.image_s, cost.amount / latency.image_s.estimate)


_READERS: dict[Objective, Callable[[CellResult], DecisionFigure | Absent]] = {
    "latency": _read_latency,
    "memory": _read_memory,
    "throughput": _read_image_s,
    "loss": _read_loss,
    "cost": _read_cost,
}
