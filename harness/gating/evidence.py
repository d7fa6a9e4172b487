"""All that is known of a run's cells, looked up by rule: a reading, or the reason why there is none."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan
from harness.core.quality import Definition, Delta, Evaluation, Score, Tail
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.gating.measured import MEASURED, Measured
from harness.gating.readings import Number, Reading, Share, Spread
from harness.gating.timed import of_latency, of_speedup

NOT_EVALUATED = "it was not evaluated: add it to quality.metrics and run harness bench (measured cells are taken over)"


class Found(NamedTuple):
    """A reading with what its sentence needs: the metric's definition, and the prompts (or repeats) behind it.

    `resolved_from`: prompts from which on its bounds need no allowance for few images, where they have one.
    """

    reading: Reading | Absent
    definition: Definition | None = None
    prompts: int | None = None
    resolved_from: int | None = None


@dataclass(frozen=True)
class Evidence:
    """A run as the gate sees it."""

    plan: Plan
    evaluation: Evaluation
    outcomes: Mapping[str, Outcome]

    @cached_property
    def _deltas(self) -> dict[str, dict[str, Delta]]:
        found: dict[str, dict[str, Delta]] = {}
        for delta in self.evaluation.deltas:
            found.setdefault(delta.cell_id, {})[delta.metric] = delta
        return found

    @cached_property
    def _scores(self) -> dict[tuple[str, str], Score]:
        return {(score.cell_id, score.definition.metric): score for score in self.evaluation.scores}

    @cached_property
    def _tails(self) -> dict[str, Tail]:
        return {tail.cell_id: tail for tail in self.evaluation.tails}

    def deltas(self, cell_id: str) -> tuple[Delta, ...]:
        """Return a cell's changes against the baseline, one a metric."""
        return tuple(self._deltas.get(cell_id, {}).values())

    def completed(self, cell_id: str) -> Completed | None:
        """Return the samples of a cell that completed."""
        outcome = self.outcomes.get(cell_id)
        return outcome if isinstance(outcome, Completed) else None

    def find(self, rule: Rule, metric: str, cell_id: str) -> Found:
        """Return what a rule judges of a cell: of `metric`, where the quantity is of a metric."""
        if rule.quantity in ("loss", "change"):
            return self._delta(rule, metric, cell_id)
        if rule.quantity == "score":
            return self._score(metric, cell_id)
        if rule.quantity in ("worst-decile", "broken-share"):
            return self._tail(rule, metric, cell_id)
        return self._measured(rule, cell_id)

    def _delta(self, rule: Rule, metric: str, cell_id: str) -> Found:
        delta = self._deltas.get(cell_id, {}).get(metric)
        if delta is None:
            return self._absent(metric)
        figures = delta.figures(rule.quantity)
        if isinstance(figures, Absent):
            return Found(figures, delta.definition)
        shown, spread = figures
        few = delta.resolved_from if rule.quantity == "loss" else None
        return Found(Spread(shown.estimate, spread), delta.definition, delta.prompts, few)

    def _score(self, metric: str, cell_id: str) -> Found:
        score = self._scores.get((cell_id, metric))
        if score is None:
            return self._absent(metric)
        return Found(Spread(score.value.estimate, score.uncertainty), score.definition, score.prompts)

    def _tail(self, rule: Rule, metric: str, cell_id: str) -> Found:
        tail = self._tails.get(cell_id)
        if tail is None:
            return Found(Absent(absent="the cell was not evaluated: run harness evaluate again"))
        seeds = len(self.plan.matrix.seeds)
        if rule.quantity == "broken-share":
            return Found(Share(tail.broken, tail.n, seeds), prompts=tail.n // seeds)
        if metric in tail.worst_decile:
            return Found(Number(tail.worst_decile[metric]), prompts=tail.n // seeds)
        if metric in self._deltas.get(cell_id, {}):
            return Found(Absent(absent="single images have no value under this metric"))
        return self._absent(metric)

    def _absent(self, metric: str) -> Found:
        missing = self.evaluation.missing
        reasons = [why for name, why in missing.items() if metric in (name, name.partition(":")[0])]
        return Found(Absent(absent=reasons[0] if reasons else NOT_EVALUATED))

    def _measured(self, rule: Rule, cell_id: str) -> Found:
        cell = self.completed(cell_id)
        if cell is None:
            return Found(Absent(absent="the cell did not complete"))
        if rule.quantity in MEASURED:
            return Found(
                MEASURED[rule.quantity](Measured(cell_id, cell, self.plan, self.completed(self.plan.baseline_id)))
            )
        if rule.quantity == "latency-s":
            return Found(of_latency(cell))
        if rule.quantity == "throughput":
            return Found(of_latency(cell, lambda seconds: cell.batch / seconds))
        return Found(of_speedup(self.completed(self.plan.baseline_id), cell))
