"""The forest plot: every loss with its interval against its own rule's margin, one panel a metric."""

import math

from harness.core.base import Frozen
from harness.core.quality import Delta, Evaluation, Interval
from harness.core.rule import RARE
from harness.core.units import Absent
from harness.core.verdict import Result, pick_worst
from harness.reporting.facts import Facts, Standing
from harness.reporting.gated_losses import GatedLoss, list_gated_losses
from harness.reporting.loaded import LoadedRun
from harness.reporting.scale import LossScale, loss_scale
from harness.reporting.wording import round_share, share_interval


class Tick(Frozen):
    """A label on an axis at a position in percent of its length."""

    at: float
    label: str
    margin: bool = False
    minor: bool = False


class ForestRow(Frozen):
    """One loss: positions in percent of the axis. `bounds` is the span of the bounds that the verdict used."""

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
    """One metric: the losses that rules judge, those reported only, and the cells without one, with the reason."""

    metric: str
    note: str
    cautions: tuple[str, ...]
    judged: Plot
    reported: Plot
    absent: tuple[str, ...]


def metric_result(loaded: LoadedRun, delta: Delta) -> Result | None:
    """Return the worst verdict of the rules on one metric of one cell, or None where no rule judged it."""
    verdict = loaded.verdict(delta.cell_id)
    results = {judged.result for judged in (verdict.errors if verdict else ()) if judged.metric == delta.metric}
    return pick_worst(results) if results else None


def ordered_losses(loaded: LoadedRun, facts: tuple[Facts, ...]) -> tuple[GatedLoss, ...]:
    """Return the losses that rules judge and those that none does, of the cells in order: least loss first."""
    found: list[GatedLoss] = []
    for cell in sorted(facts, key=_badness):
        judged = list_gated_losses(loaded, cell.id)
        taken = {gated.delta.metric for gated in judged}
        found += [*judged, *(GatedLoss(delta) for delta in loaded.deltas(cell.id) if delta.metric not in taken)]
    return tuple(found)


def choose_scale(gated: list[GatedLoss]) -> LossScale:
    """Return one axis for several losses and their margins."""
    list_margins = [found.margin for found in gated if found.margin is not None]
    marked = sorted({limit for found in gated for limit in found.limits}, key=abs)
    ends = [end for found in gated if isinstance(found.value, Interval) for end in (found.value.low, found.value.high)]
    return loss_scale(ends, min(list_margins, default=RARE), tuple(marked))


def find_bounds(gated: GatedLoss) -> tuple[float, float]:
    """Return the bounds that the verdict used, or the interval where there are none."""
    assert isinstance(gated.value, Interval)
    low, high = gated.value.low, gated.value.high
    if gated.verdict is None:
        return low, high
    lower, upper = gated.verdict.lower, gated.verdict.upper
    return low if lower is None else min(lower, low), high if upper is None else max(upper, high)


def _row(gated: GatedLoss, scale: LossScale) -> ForestRow:
    value = gated.value
    assert isinstance(value, Interval)
    return ForestRow(
        cell_id=gated.delta.cell_id,
        standing=gated.verdict.result if gated.verdict else "unjudged",
        text=share_interval(value),
        note=gated.verdict.sentence if gated.verdict else gated.delta.why_not,
        at=_percent(scale, value.estimate),
        low=_percent(scale, value.low),
        high=_percent(scale, value.high),
        bounds=tuple(_percent(scale, end) for end in find_bounds(gated)),  # type: ignore[arg-type]
        limits=tuple(_percent(scale, limit) for limit in gated.limits),
    )


def _percent(scale: LossScale, loss: float) -> float:
    return 100 * scale.position(loss)


def _plot(gated: list[GatedLoss], scale: LossScale) -> Plot:
    known = [found for found in gated if isinstance(found.value, Interval)]
    margins = {limit for found in known for limit in found.limits}
    coarse = scale.ticks(0.13)
    ticks = tuple(
        Tick(at=_percent(scale, tick), label=round_share(tick), margin=tick in margins, minor=tick not in coarse)
        for tick in sorted({*coarse, *scale.ticks(0.06)})
    )
    return Plot(rows=tuple(_row(found, scale) for found in known), ticks=ticks)


def build_forest(loaded: LoadedRun, facts: tuple[Facts, ...]) -> tuple[ForestPanel, ...]:
    """Return one panel for each metric and what is judged of it, cells in the same order in each.

    All judged losses share one axis, all reported ones another.
    """
    if loaded.evaluation is None:
        return ()
    gated = ordered_losses(loaded, facts)
    judged = [found for found in gated if found.rule]
    scales = choose_scale(judged), choose_scale([found for found in gated if not found.rule])
    groups: dict[tuple[str, str, str], list[GatedLoss]] = {}
    for found in sorted(judged, key=lambda found: found.rule is not None and found.rule.severity == "warning"):
        assert found.rule
        groups.setdefault((found.delta.metric, found.quantity, found.rule.severity), []).append(found)
    for found in gated:
        if not found.rule:
            mine = next((key for key in groups if key[0] == found.delta.metric), (found.delta.metric, "loss", "error"))
            groups.setdefault(mine, []).append(found)
    panels = [_panel(loaded.evaluation, key, members, scales) for key, members in groups.items()]
    return tuple(sorted(panels, key=lambda panel: not panel.judged.rows))


def _panel(
    evaluation: Evaluation, key: tuple[str, str, str], gated: list[GatedLoss], scales: tuple[LossScale, LossScale]
) -> ForestPanel:
    metric, quantity, severity = key
    definition = gated[0].delta.definition
    words = [
        definition.kind,
        "relative change of the score" if quantity == "change" else "",
        "only a warning" if severity == "warning" else "",
    ]
    blind = (f"blind here: {evaluation.blind[metric]}; its pass does not count",) if metric in evaluation.blind else ()
    return ForestPanel(
        metric=metric,
        note=", ".join(word for word in words if word),
        cautions=(*blind, *definition.notes),
        judged=_plot([found for found in gated if found.rule], scales[0]),
        reported=_plot([found for found in gated if not found.rule], scales[1]),
        absent=tuple(
            f"{found.delta.cell_id}: {found.value.absent}" for found in gated if isinstance(found.value, Absent)
        ),
    )


def _badness(cell: Facts) -> float:
    worst = cell.worst
    return -math.inf if isinstance(worst, Absent) else worst.loss.estimate / (worst.limit or 1.0)
