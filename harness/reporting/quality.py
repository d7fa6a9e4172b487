"""What each metric lost: the forest plot of a run, and the table of metrics of a cell."""

from collections.abc import Sequence

from harness.core.base import Frozen
from harness.core.quality import Delta, Interval
from harness.core.rule import RARE
from harness.core.units import Absent
from harness.core.verdict import Result, pick_worst
from harness.reporting.layout import LossScale, fit_loss_scale
from harness.reporting.parts import NamedValue, Tick
from harness.results import CellResult, Run, Standing
from harness.results.format import (
    explain_absence,
    format_count,
    format_margin,
    format_number,
    format_share,
    format_value,
)
from harness.results.losses import GatedLoss


class ForestRow(Frozen):
    """One loss: positions in percent of the axis; `bounds` are those of the verdict."""

    cell_id: str
    standing: Standing | Result
    text: str
    note: str
    at: float
    low: float
    high: float
    bounds: tuple[float, float]
    limits: tuple[float, ...]


class Plot(Frozen):
    """Rows on one axis of losses."""

    rows: tuple[ForestRow, ...]
    ticks: tuple[Tick, ...]


class ForestPanel(Frozen):
    """One metric: judged losses, reported ones, and the cells without a loss, with the reason."""

    metric: str
    note: str
    cautions: tuple[str, ...]
    judged: Plot
    reported: Plot
    absent: tuple[str, ...]


class MetricRow(Frozen):
    """One metric of a cell: its change, the verdict on it if rules judged it, and a note."""

    delta: Delta
    standing: Standing | None
    note: str


def order_losses(run: Run) -> tuple[GatedLoss, ...]:
    """Return all losses, judged or not, of the cells in order: least loss first."""
    found: list[GatedLoss] = []
    for cell in sorted(run.cells, key=lambda cell: max(_used(cell), default=float("-inf"))):
        judged = cell.gated_losses
        taken = {loss.delta.metric for loss in judged}
        rest = (GatedLoss(d) for metric, d in cell.deltas.items() if metric not in taken)
        found += [*judged, *rest]
    return tuple(found)


def _used(cell: CellResult) -> list[float]:
    worst = cell.worst_loss
    return [] if isinstance(worst, Absent) else [worst.loss.estimate / (worst.limit or 1.0)]


def choose_scale(losses: Sequence[GatedLoss]) -> LossScale:
    """Return one axis for several losses and their margins."""
    margins = [loss.margin for loss in losses if loss.margin is not None]
    marked = sorted({limit for loss in losses for limit in loss.limits}, key=abs)
    values = [loss.value for loss in losses if isinstance(loss.value, Interval)]
    ends = [end for value in values for end in (value.low, value.high)]
    return fit_loss_scale(ends, min(margins, default=RARE), tuple(marked))


def find_bounds(loss: GatedLoss) -> tuple[float, float]:
    """Return the interval, extended to the bounds that the verdict used."""
    assert isinstance(loss.value, Interval)
    low, high = loss.value.low, loss.value.high
    if loss.verdict is None:
        return low, high
    lower, upper = loss.verdict.lower, loss.verdict.upper
    return low if lower is None else min(lower, low), high if upper is None else max(upper, high)


def build_forest(run: Run) -> tuple[ForestPanel, ...]:
    """Return one panel per metric and judged quantity, cells in the same order in each.

    All judged losses share one axis, all reported ones another.
    """
    losses = order_losses(run)
    judged = [loss for loss in losses if loss.rule]
    scales = choose_scale(judged), choose_scale([loss for loss in losses if not loss.rule])
    groups: dict[tuple[str, str, bool], list[GatedLoss]] = {}
    for loss in sorted(judged, key=lambda loss: loss.is_warning):
        key = (loss.delta.metric, loss.quantity, loss.is_warning)
        groups.setdefault(key, []).append(loss)
    for loss in losses:
        if not loss.rule:
            metric = loss.delta.metric
            first = next((key for key in groups if key[0] == metric), (metric, "loss", False))
            groups.setdefault(first, []).append(loss)
    panels = [_build_panel(run, key, members, scales) for key, members in groups.items()]
    return tuple(sorted(panels, key=lambda panel: not panel.judged.rows))


def _build_panel(
    run: Run,
    key: tuple[str, str, bool],
    losses: list[GatedLoss],
    scales: tuple[LossScale, LossScale],
) -> ForestPanel:
    metric, quantity, is_warning = key
    definition = losses[0].delta.definition
    blind = run.evaluation.blind.get(metric) if run.evaluation else None
    caution = (f"blind here: {blind}; its pass does not count",) if blind is not None else ()
    words: list[str] = [definition.kind]
    words += ["relative change of the score"] if quantity == "change" else []
    words += ["only a warning"] if is_warning else []
    return ForestPanel(
        metric=metric,
        note=", ".join(words),
        cautions=(*caution, *definition.notes),
        judged=_plot([loss for loss in losses if loss.rule], scales[0]),
        reported=_plot([loss for loss in losses if not loss.rule], scales[1]),
        absent=tuple(
            f"{loss.delta.cell_id}: {loss.value.absent}"
            for loss in losses
            if isinstance(loss.value, Absent)
        ),
    )


def _plot(losses: list[GatedLoss], scale: LossScale) -> Plot:
    known = [loss for loss in losses if isinstance(loss.value, Interval)]
    margins = {limit for loss in known for limit in loss.limits}
    coarse = scale.ticks(0.13)
    ticks = tuple(
        Tick(
            at=scale.percent(tick),
            label=format_margin(tick),
            is_margin=tick in margins,
            is_minor=tick not in coarse,
        )
        for tick in sorted({*coarse, *scale.ticks(0.06)})
    )
    return Plot(rows=tuple(_make_row(loss, scale) for loss in known), ticks=ticks)


def _make_row(loss: GatedLoss, scale: LossScale) -> ForestRow:
    value, (lower, upper) = loss.value, find_bounds(loss)
    assert isinstance(value, Interval)
    return ForestRow(
        cell_id=loss.delta.cell_id,
        standing=loss.verdict.result if loss.verdict else "unjudged",
        text=format_value(value, "share"),
        note=loss.verdict.sentence if loss.verdict else loss.delta.why_not,
        at=scale.percent(value.estimate),
        low=scale.percent(value.low),
        high=scale.percent(value.high),
        bounds=(scale.percent(lower), scale.percent(upper)),
        limits=tuple(scale.percent(limit) for limit in loss.limits),
    )


def list_metrics(cell: CellResult) -> tuple[MetricRow, ...]:
    """Return every metric of a cell against the baseline."""
    return tuple(_make_metric_row(cell, delta) for delta in cell.deltas.values())


def _make_metric_row(cell: CellResult, delta: Delta) -> MetricRow:
    anchors = ", ".join(f"{name} {format_number(x)}" for name, x in delta.calibration.items())
    parts = {"loss": explain_absence(delta.loss), "anchors": anchors}
    parts["literal"] = explain_absence(delta.literal)
    notes = [delta.why_not, *(f"{name}: {text}" for name, text in parts.items() if text)]
    rules = cell.verdict.errors if cell.verdict else ()
    results = {judged.result for judged in rules if judged.metric == delta.metric}
    return MetricRow(
        delta=delta,
        standing=pick_worst(results) if results else None,
        note="; ".join(note for note in notes if note),
    )


def list_tails(cell: CellResult) -> tuple[NamedValue, ...]:
    """Return what means hide: broken images, and the mean of each metric's worst tenth."""
    tail, base = cell.tail, cell.run.baseline.tail
    if tail is None:
        return ()
    count = f"{format_count(tail.broken)} of {format_count(tail.n)}"
    note = f"at most {format_share(tail.broken_share_high)} at 95 % confidence"
    rows = [NamedValue(name="Broken images", value=count, note=note)]
    for metric, value in tail.worst_decile.items():
        own = base.worst_decile.get(metric) if base and not cell.is_baseline else None
        known = own is not None and _scores_baseline(cell.run, metric)
        note = f"baseline {format_number(own)}" if known and own is not None else ""
        name = f"Worst tenth, {metric}"
        rows.append(NamedValue(name=name, value=format_number(value), note=note))
    return tuple(rows)


def _scores_baseline(run: Run, metric: str) -> bool:
    """Return whether a metric scores the baseline's own images; paired ones only compare."""
    scores = (found[metric] for found in run.scores.values() if metric in found)
    return any(score.definition.kind in ("alignment", "correctness") for score in scores)
