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
    minor: bool = False


class ForestRow(Frozen):
    """One loss: positions in percent of the axis."""

    cell_id: str
    standing: Standing | Result
    text: str
    note: str
    at: float
    low: float
    high: float


class Plot(Frozen):
    """Rows on one axis of losses."""

    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]


class ForestPanel(Frozen):
    """One metric: the losses that gate, those reported only, and the cells without one, with the reason."""

    metric: str
    note: str
    gating: Plot
    reported: Plot
    absent: tuple[str, ...]


def metric_result(loaded: Loaded, delta: Delta) -> Result | None:
    """Return the verdict of one metric on one cell, or None where it was not judged."""
    verdict = loaded.verdict(delta.cell_id)
    found = (
        metric.result for metric in (verdict.metrics if verdict else ()) if metric.threshold.metric == delta.metric
    )
    return next(found, None)


def _row(loaded: Loaded, delta: Delta, loss: Interval, scale: LossScale) -> ForestRow:
    return ForestRow(
        cell_id=delta.cell_id,
        standing=metric_result(loaded, delta) or "unjudged",
        text=share_interval(loss),
        note=delta.why_not,
        at=100 * scale.position(loss.estimate),
        low=100 * scale.position(loss.low),
        high=100 * scale.position(loss.high),
    )


def _gates(loaded: Loaded, delta: Delta) -> bool:
    return metric_result(loaded, delta) is not None or (loaded.judgement is None and delta.gates)


def _scale(losses: list[Interval], margin: float) -> LossScale:
    return loss_scale([end for loss in losses for end in (loss.low, loss.high)], margin)


def _plot(loaded: Loaded, known: list[tuple[Delta, Interval]], scale: LossScale) -> Plot:
    coarse = scale.ticks(0.13)
    ticks = tuple(
        Tick(
            at=100 * scale.position(tick),
            label=round_share(tick),
            margin=tick == scale.margin,
            minor=tick not in coarse,
        )
        for tick in sorted({*coarse, *scale.ticks(0.06)})
    )
    return Plot(rows=tuple(_row(loaded, delta, loss, scale) for delta, loss in known), ticks=ticks)


def forest_of(loaded: Loaded, facts: tuple[Facts, ...]) -> tuple[ForestPanel, ...]:
    """Return one panel a metric, cells in the same order in each: the smallest worst loss first.

    All gating losses share one axis, all reported ones another.
    """
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    margin = loaded.judgement.margin if loaded.judgement else loaded.plan.matrix.gate.margin
    order = {cell.id: rank for rank, cell in enumerate(sorted(facts, key=_badness))}
    deltas = sorted((d for d in evaluation.deltas if d.cell_id in order), key=lambda delta: order[delta.cell_id])
    known = [(delta, loss) for delta in deltas if isinstance(loss := loss_of(loaded, delta), Interval)]
    gating = [pair for pair in known if _gates(loaded, pair[0])]
    reported = [pair for pair in known if not _gates(loaded, pair[0])]
    scales = [_scale([loss for _, loss in pairs], margin) for pairs in (gating, reported)]
    panels = []
    for metric in dict.fromkeys(delta.metric for delta in evaluation.deltas if delta.cell_id in order):
        mine = [delta for delta in deltas if delta.metric == metric]
        absent = [(delta.cell_id, loss) for delta in mine if isinstance(loss := loss_of(loaded, delta), Absent)]
        blind = "blind here: no control moved it, its pass does not count" if metric in evaluation.blind else ""
        panels.append(ForestPanel(
            metric=metric,
            note=blind or mine[0].definition.kind,
            gating=_plot(loaded, [pair for pair in gating if pair[0].metric == metric], scales[0]),
            reported=_plot(loaded, [pair for pair in reported if pair[0].metric == metric], scales[1]),
            absent=tuple(f"{cell}: {loss.absent}" for cell, loss in absent),
        ))  # fmt: skip
    return tuple(sorted(panels, key=lambda panel: not panel.gating.rows))


def _badness(cell: Facts) -> float:
    return -1.0 if isinstance(cell.worst, Absent) else cell.worst.loss.estimate
