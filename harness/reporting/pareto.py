"""Which cells are on the front of speed against loss, how surely, and what a chart of them needs."""

from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.quality import Interval, Uncertainty
from harness.core.rule import RARE, RELATIVE
from harness.core.units import Absent
from harness.reporting.facts import Facts, Standing
from harness.reporting.gated_losses import GatedLoss, WorstLoss, deciding_losses, list_margins
from harness.reporting.loaded import LoadedRun
from harness.reporting.normalized_latency import normalize_latency
from harness.reporting.wording import factor_interval, probability, seconds_interval, share_interval

_MOST_COMPARISONS = 40_000_000


class LossAxis(Frozen):
    """What the chart's losses are held against: one margin, none, or (several) each loss as a share of its own."""

    title: str
    margin: float | None
    relative: bool = False
    others: bool = False
    """Whether rules on other things than losses decide too."""

    @property
    def knee(self) -> float:
        """Where the axis turns from linear to logarithmic."""
        return self.margin or RARE


class Point(Frozen):
    """One cell in the chart: seconds per image (on the baseline's clock) and worst loss, with their intervals' ends."""

    cell_id: str
    standing: Standing
    latency_s: float
    latency_low_s: float
    latency_high_s: float
    loss: float
    loss_low: float
    loss_high: float
    front: bool
    chance: float | None = None
    """The probability to be on the front."""
    unprofiled: bool = False
    """It is recommended, but has no trace."""
    facts: tuple[str, ...]


class _Drawn(NamedTuple):
    """A cell's worst loss as the chart draws it; `spread` is None for the baseline, which loses exactly 0."""

    value: Interval
    spread: Uncertainty | None


def loss_axis(loaded: LoadedRun) -> LossAxis:
    """Return the chart's axis of losses."""
    found = list_margins(loaded)
    others = any(rule.quantity not in RELATIVE and rule.severity == "error" for rule in loaded.policy.gate)
    if len(found) > 1:
        return LossAxis(title="Worst loss, as a share of its own margin", margin=1.0, relative=True, others=others)
    return LossAxis(title="Worst loss against the baseline", margin=found[0] if found else None, others=others)


def list_points(loaded: LoadedRun, facts: tuple[Facts, ...]) -> tuple[Point, ...]:
    """Return the cells that have both a time and a loss, the front marked; the baseline loses 0."""
    from harness.stats.pareto import DRAWS, Uncertain, front_probability, pareto_front

    axis, baseline = loss_axis(loaded), loaded.plan.baseline_id
    drawn = {cell.id: found for cell in facts if (found := _drawn(loaded, cell, axis))}
    if all(cell_id == baseline for cell_id in drawn):
        return ()
    paces = {
        cell_id: normalize_latency(loaded.baseline, cell) for cell_id in drawn if (cell := loaded.completed(cell_id))
    }
    made = [_point(cell, drawn[cell.id], paces[cell.id].image_s) for cell in facts if cell.id in drawn]
    front = set(pareto_front({point.cell_id: (point.latency_s, point.loss) for point in made}))
    uncertain = {cell_id: Uncertain(paces[cell_id].spread, found.spread) for cell_id, found in drawn.items()}
    chances = front_probability(uncertain, draws=max(500, min(DRAWS, _MOST_COMPARISONS // len(made) ** 2)))
    return tuple(_placed(point, point.cell_id in front, chances[point.cell_id]) for point in made)


def _placed(point: Point, front: bool, chance: float) -> Point:
    line = f"on the Pareto front with {probability(chance)} probability"
    return point.model_copy(update={"front": front, "chance": chance, "facts": (*point.facts, line)})


def _drawn(loaded: LoadedRun, cell: Facts, axis: LossAxis) -> _Drawn | None:
    """Return a cell's worst loss on the axis; its distribution is that of the largest of all its deciding losses.

    Metrics look at the same pictures and err together, so the largest is taken level by level.
    """
    from harness.stats.confidence import upper_bound

    if isinstance(cell.timing, Absent):
        return None
    if cell.id == loaded.plan.baseline_id:
        return _Drawn(Interval(estimate=0.0, low=0.0, high=0.0, method="the baseline itself"), None)
    known = [found for gated in deciding_losses(loaded, cell.id) if (found := _on_axis(gated, axis))]
    if not known:
        return None
    levels = known[0][1].levels
    highest = tuple(max(upper_bound(spread, level) for _, spread in known) for level in levels)
    value = max((value for value, _ in known), key=lambda value: value.estimate)
    return _Drawn(value, Uncertainty(levels=levels, quantiles=highest))


def _on_axis(gated: GatedLoss, axis: LossAxis) -> tuple[Interval, Uncertainty] | None:
    """Return a loss as the axis shows it: folded where both directions count, divided by its margin if relative."""
    from harness.stats.confidence import fold

    value, spread = gated.value, gated.spread
    if isinstance(value, Absent) or isinstance(spread, Absent):
        return None
    unit = (gated.margin or 1.0) if axis.relative else 1.0
    low, high, middle = value.low, value.high, value.estimate
    if gated.two_sided:
        low, high, middle = max(0.0, low, -high), max(high, -low), abs(middle)
        spread = fold(spread)
    value = value.model_copy(update={"estimate": middle / unit, "low": low / unit, "high": high / unit})
    return value, spread.model_copy(update={"quantiles": tuple(bound / unit for bound in spread.quantiles)})


def _point(cell: Facts, drawn: _Drawn, image_s: Interval) -> Point:
    assert not isinstance(cell.timing, Absent)
    loss = drawn.value
    lines = [f"{seconds_interval(image_s)} per image", f"speedup {factor_interval(cell.timing.speedup)}"]
    if isinstance(cell.worst, WorstLoss):
        lines.append(f"worst loss {share_interval(cell.worst.loss)} ({cell.worst.metric})")
    return Point(
        cell_id=cell.id, standing=cell.standing, front=False, facts=tuple(lines),
        latency_s=image_s.estimate, latency_low_s=image_s.low, latency_high_s=image_s.high,
        loss=loss.estimate, loss_low=loss.low, loss_high=loss.high,
    )  # fmt: skip


def not_drawn(facts: tuple[Facts, ...], points: tuple[Point, ...]) -> tuple[str, ...]:
    """Return the cells that could not be drawn, each with the reason."""
    drawn = {point.cell_id for point in points}
    missing = []
    for cell in facts:
        if cell.id not in drawn:
            absent = cell.timing if isinstance(cell.timing, Absent) else cell.worst
            reason = absent.absent if isinstance(absent, Absent) else "nothing to compare it with"
            missing.append(f"{cell.id} ({reason})")
    return tuple(missing)
