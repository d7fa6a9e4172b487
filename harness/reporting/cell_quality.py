"""A cell's quality against the baseline, metric by metric, and what its means hide."""

from collections.abc import Callable

from harness.core.base import Frozen
from harness.core.quality import Delta, Interval
from harness.core.units import Absent
from harness.reporting.facts import Standing
from harness.reporting.forest import metric_result
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.wording import DASH, grouped, number, share, share_interval, why


class MetricRow(Frozen):
    """One metric of a cell next to the baseline's."""

    metric: str
    kind: str
    baseline: str
    candidate: str
    literal: str
    loss: str
    standing: Standing | None
    note: str


def metric_rows(loaded: LoadedRun, cell_id: str) -> tuple[MetricRow, ...]:
    """Return every metric of a cell against the baseline, literal change and loss."""
    return tuple(_metric_row(loaded, delta) for delta in loaded.deltas(cell_id))


def _metric_row(loaded: LoadedRun, delta: Delta) -> MetricRow:
    unit = f" {delta.definition.unit}" if delta.definition.unit else ""
    anchors = ", ".join(f"{name} {number(value)}" for name, value in delta.calibration.items())
    notes = [
        delta.why_not,
        f"loss: {why(delta.loss)}" if why(delta.loss) else "",
        f"anchors: {anchors}" if anchors else "",
    ]
    if isinstance(delta.literal, Absent):
        notes.append(f"literal: {delta.literal.absent}")
    return MetricRow(
        metric=delta.metric,
        kind=delta.definition.kind,
        baseline=number(delta.baseline) + unit,
        candidate=number(delta.candidate) + unit,
        literal=_write(delta.literal, share_interval),
        loss=_write(delta.loss, share_interval),
        standing=metric_result(loaded, delta),
        note="; ".join(note for note in notes if note),
    )


def tail_rows(loaded: LoadedRun, cell_id: str) -> tuple[Named, ...]:
    """Return what the means of a cell hide: broken images, and the mean of each metric's worst tenth."""
    tail, base = loaded.tail(cell_id), loaded.tail(loaded.plan.baseline_id)
    if tail is None:
        return ()
    note = f"at most {share(tail.broken_share_high)} at 95 % confidence"
    rows = [Named(name="Broken images", value=f"{grouped(tail.broken)} of {grouped(tail.n)}", note=note)]
    for metric, value in tail.worst_decile.items():
        own = base.worst_decile.get(metric) if base and cell_id != loaded.plan.baseline_id else None
        alike = own is not None and metric in aligned(loaded)
        note = f"baseline {number(own)}" if alike and own is not None else ""
        rows.append(Named(name=f"Worst tenth, {metric}", value=number(value), note=note))
    return tuple(rows)


def aligned(loaded: LoadedRun) -> set[str]:
    """Return the metrics that score the baseline's own pictures too; paired ones only compare with them."""
    scores = loaded.evaluation.scores if loaded.evaluation else ()
    return {score.definition.metric for score in scores if score.definition.kind in ("alignment", "correctness")}


def _write(value: Interval | Absent, words: Callable[[Interval], str]) -> str:
    return DASH if isinstance(value, Absent) else words(value)
