"""The verdict of one cell from the verdicts of its gating metrics."""

from collections.abc import Mapping
from typing import NamedTuple

from harness.core.matrix import Gate
from harness.core.quality import Delta
from harness.core.verdict import CellVerdict, MetricVerdict, Result
from harness.gating.metric import judge_delta, judge_missing


class Evidence(NamedTuple):
    """What is known of a cell: gating deltas, metrics that are missing and why, blind metrics, whether evaluated."""

    deltas: tuple[Delta, ...]
    missing: Mapping[str, str]
    blind: frozenset[str]
    evaluated: bool


def judge_cell(cell_id: str, evidence: Evidence, gate: Gate, alpha: float) -> CellVerdict:
    """Return the verdict of one cell at its share `alpha` of the error rate.

    Any failing metric fails the cell; then any missing one makes it missing, then any inconclusive one inconclusive.
    """
    metrics = [judge_delta(delta, gate, alpha, delta.metric in evidence.blind) for delta in evidence.deltas]
    metrics += [judge_missing(name, why, gate) for name, why in evidence.missing.items()]
    if not metrics:
        reason = "no metric judges this cell" if evidence.evaluated else "not evaluated yet: run harness evaluate again"
        return CellVerdict(cell_id=cell_id, result="missing", metrics=(), reason=reason)
    result = _worst(metrics)
    return CellVerdict(cell_id=cell_id, result=result, metrics=tuple(metrics), reason=_reason(result, metrics))


def _worst(metrics: list[MetricVerdict]) -> Result:
    results = {metric.result for metric in metrics}
    order: tuple[Result, ...] = ("fail", "missing", "inconclusive")
    return next((worst for worst in order if worst in results), "pass")


def _reason(result: Result, metrics: list[MetricVerdict]) -> str:
    if result == "pass":
        closest = max(metrics, key=lambda metric: metric.upper if metric.upper is not None else 0.0)
        return f"all {len(metrics)} pass; closest: {closest.sentence}" if len(metrics) > 1 else closest.sentence
    return "; ".join(metric.sentence for metric in metrics if metric.result == result)
