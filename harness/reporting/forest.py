"""The forest plot: every loss with its interval against the margin, one panel a metric."""

from harness.core.base import Frozen
from harness.core.quality import Delta, Interval
from harness.core.units import Absent
from harness.core.verdict import Result
from harness.reporting.facts import Facts, Standing, loss_of
from harness.reporting.loaded import Loaded
from harness.reporting.scale import LossScale, loss_scale
from harness.reporting.wording import round_share, share_interval


class Tick(Frozen):
    """A label on an axis at a position in percent of its length."""

    at: float
    label: str
    margin: bool = False


class ForestRow(Frozen):
    """One loss: positions in percent of the panel's width; `gates` is false where it is reported only."""

    cell_id: str
    standing: Standing | Result
    gates: bool
    text: str
    note: str
    at: float
    low: float
    high: float


class ForestPanel(Frozen):
    """All cells' losses of one metric; `absent` names cells without one, with the reason."""

    metric: str
    note: str
    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]
    absent: tuple[str, ...]


def metric_result(loaded: Loaded, delta: Delta) -> Result | None:
    """Return the verdict of one metric on one cell, or None where it was not judged."""
    verdict = loaded.verdict(delta.cell_id)
    found = (metric.result for metric in (verdict.metrics if verdict else ()) if metric.threshold.metric == delta.metric)
    return next(found, None)


def _row(loaded: Loaded, delta: Delta, loss: Interval, scale: LossScale) -> ForestRow:
    result = metric_result(loaded, delta)
    return ForestRow(
        cell_id=delta.cell_id,
        standing=result or "unjudged",
        gates=result is not None or (loaded.judgement is None and delta.gates),
        text=share_interval(loss),
        note=delta.why_not,
        at=100 * scale.position(loss.estimate),
        low=100 * scale.position(loss.low),
        high=100 * scale.position(loss.high),
    )


def forest_of(loaded: Loaded, facts: tuple[Facts, ...]) -> tuple[ForestPanel, ...]:
    """Return one panel a metric, cells in the same order in each: the smallest worst loss first."""
    if loaded.evaluation is None:
        return ()
    margin = loaded.judgement.margin if loaded.judgement else loaded.plan.matrix.gate.margin
    order = {cell.id: rank for rank, cell in enumerate(sorted(facts, key=_badness))}
    deltas = [delta for delta in loaded.evaluation.deltas if delta.cell_id in order]
    losses = [loss_of(loaded, delta) for delta in deltas]
    ends = [end for loss in losses if isinstance(loss, Interval) for end in (loss.low, loss.high)]
    scale = loss_scale(ends, margin)
    ticks = tuple(
        Tick(at=100 * scale.position(tick), label=round_share(tick), margin=tick == margin) for tick in scale.ticks(0.13)
    )
    panels = []
    for metric in dict.fromkeys(delta.metric for delta in deltas):
        mine = sorted((delta for delta in deltas if delta.metric == metric), key=lambda delta: order[delta.cell_id])
        known = [(delta, loss) for delta in mine if isinstance(loss := loss_of(loaded, delta), Interval)]
        rows = tuple(_row(loaded, delta, loss, scale) for delta, loss in known)
        absent = tuple(
            f"{delta.cell_id}: {loss.absent}" for delta in mine if isinstance(loss := loss_of(loaded, delta), Absent)
        )
        blind = "blind here: no control moved it, its pass does not count" if metric in loaded.evaluation.blind else ""
        note = blind or mine[0].definition.kind
        panels.append(ForestPanel(metric=metric, note=note, rows=rows, ticks=ticks, absent=absent))
    return tuple(panels)


def _badness(cell: Facts) -> float:
    return -1.0 if isinstance(cell.worst, Absent) else cell.worst.loss.estimate
