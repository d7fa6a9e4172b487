"""Thresholds and verdicts."""

from typing import Literal

from harness.core.base import Frozen

Result = Literal["pass", "fail", "inconclusive", "missing"]


class Threshold(Frozen):
    """The limit a metric's loss is held against, and the error rate we accept."""

    metric: str
    margin: float
    alpha: float
    loss: Literal["calibrated", "literal"]


class MetricVerdict(Frozen):
    """The verdict of one metric on one cell, with what was observed and a sentence a person can check."""

    threshold: Threshold
    result: Result
    observed: float | None
    upper: float | None
    """One-sided upper confidence bound of the loss at the level used (after correction across cells)."""
    lower: float | None
    p_value: float | None
    level: float | None
    """Confidence level of each one-sided bound: 1 − alpha, or stricter under Holm's correction."""
    prompts_needed: int | None = None
    """Prompts that would settle an inconclusive verdict at 90 % power."""
    sentence: str


class CellVerdict(Frozen):
    """May this cell ship? It passes when every gating metric passes."""

    cell_id: str
    result: Result
    metrics: tuple[MetricVerdict, ...]
    reason: str


class Judgement(Frozen):
    """The gate's answer for a run: stored as verdicts.json. `front` are the Pareto-optimal cells."""

    run_id: str
    correction: Literal["holm", "none"]
    margin: float
    alpha: float
    cells: tuple[CellVerdict, ...]

    @property
    def result(self) -> Result:
        """The worst verdict of all cells that were judged."""
        results = {cell.result for cell in self.cells}
        for worst in ("fail", "missing", "inconclusive"):
            if worst in results:
                return worst  # type: ignore[return-value]
        return "pass"
