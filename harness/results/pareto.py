"""Which cells are on the Pareto front of time and loss, and how surely."""

from typing import TYPE_CHECKING, NamedTuple

from harness.core.quality import Interval, Uncertainty
from harness.core.rule import RARE, RELATIVE
from harness.core.units import Absent
from harness.results.cell import CellResult
from harness.results.losses import GatedLoss, find_margins

if TYPE_CHECKING:
    from harness.results.run import Run

_MOST_COMPARISONS = 40_000_000
_NO_LOSS = Interval(estimate=0.0, low=0.0, high=0.0, method="the baseline itself")


class LossAxis(NamedTuple):
    """The margin that losses are compared with: one for all, none, or each loss's own."""

    margin: float | None
    relative: bool = False
    """Losses are shares of their own margins."""
    others: bool = False
    """Whether error rules on other quantities than losses decide too."""

    @property
    def knee(self) -> float:
        """Where the drawn axis turns from linear to logarithmic."""
        return self.margin or RARE


class ParetoPoint(NamedTuple):
    """A cell's normalized seconds per image and its worst loss on the loss axis."""

    cell: CellResult
    image_s: Interval
    loss: Interval
    on_front: bool
    probability: float
    """The probability that it is on the front."""


def choose_loss_axis(run: "Run") -> LossAxis:
    """Return the axis of losses that suits a run's rules."""
    margins = find_margins(run)
    others = any(r.quantity not in RELATIVE and r.severity == "error" for r in run.policy.gate)
    if len(margins) > 1:
        return LossAxis(margin=1.0, relative=True, others=others)
    return LossAxis(margin=margins[0] if margins else None, others=others)


def find_pareto_points(run: "Run", axis: LossAxis | None = None) -> tuple[ParetoPoint, ...]:
    """Return the cells that have a time and a loss; none if only the baseline has both.

    `axis` is the axis of losses, by default the run's own.
    """
    from harness.stats.pareto import DRAWS, Uncertain, front_probability, pareto_front

    axis = axis or run.loss_axis
    losses = {cell.id: found for cell in run.cells if (found := _worst_on_axis(cell, axis))}
    if all(cell_id == run.plan.baseline_id for cell_id in losses):
        return ()
    cells = [cell for cell in run.cells if cell.id in losses]
    times = {cell.id: time for cell in cells if not isinstance(time := cell.normalized, Absent)}
    places = {
        key: (times[key].image_s.estimate, loss.estimate) for key, (loss, _) in losses.items()
    }
    front = set(pareto_front(places))
    uncertain = {key: Uncertain(times[key].spread, spread) for key, (_, spread) in losses.items()}
    draws = max(500, min(DRAWS, _MOST_COMPARISONS // len(cells) ** 2))
    chances = front_probability(uncertain, draws=draws)
    return tuple(
        ParetoPoint(cell, times[key].image_s, losses[key][0], key in front, chances[key])
        for cell in cells
        for key in (cell.id,)
    )


def _worst_on_axis(cell: CellResult, axis: LossAxis) -> tuple[Interval, Uncertainty | None] | None:
    """Return a cell's worst loss and its distribution; None for the baseline's, which is exactly 0.

    Metrics of the same images err together, so the largest bound is taken level by level.
    """
    from harness.stats.confidence import upper_bound

    if isinstance(cell.timed, Absent):
        return None
    if cell.is_baseline:
        return _NO_LOSS, None
    known = [found for loss in cell.deciding_losses if (found := _on_axis(loss, axis))]
    if not known:
        return None
    levels = known[0][1].levels
    highest = tuple(max(upper_bound(spread, level) for _, spread in known) for level in levels)
    value = max((value for value, _ in known), key=lambda value: value.estimate)
    return value, Uncertainty(levels=levels, quantiles=highest)


def _on_axis(loss: GatedLoss, axis: LossAxis) -> tuple[Interval, Uncertainty] | None:
    """Return a loss on the axis: folded if both directions count, divided by its own margin."""
    from harness.stats.confidence import fold

    value, spread = loss.value, loss.spread
    if isinstance(value, Absent) or isinstance(spread, Absent):
        return None
    unit = (loss.margin or 1.0) if axis.relative else 1.0
    low, high, middle = value.low, value.high, value.estimate
    if loss.is_two_sided:
        low, high, middle = max(0.0, low, -high), max(high, -low), abs(middle)
        spread = fold(spread)
    scaled = {"estimate": middle / unit, "low": low / unit, "high": high / unit}
    quantiles = tuple(bound / unit for bound in spread.quantiles)
    return value.model_copy(update=scaled), spread.model_copy(update={"quantiles": quantiles})
