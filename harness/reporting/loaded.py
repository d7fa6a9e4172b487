"""Everything a report is drawn from, read once from a run's folder."""

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan, PlannedCell
from harness.core.policy import Policy
from harness.core.quality import Delta, Evaluation, Tail
from harness.core.trace import TraceFacts
from harness.core.verdict import CellVerdict, Judgement
from harness.store import (
    read_evaluation,
    read_judgement,
    read_outcomes,
    read_plan,
    read_times,
    read_traced,
)
from harness.store.layout import RunFolder


@dataclass(frozen=True)
class LoadedRun:
    """A run in memory: any part that does not exist yet is None or empty."""

    run: Path
    plan: Plan
    outcomes: dict[str, Outcome]
    evaluation: Evaluation | None
    judgement: Judgement | None
    times: tuple[tuple[str, float], ...]
    matrix_text: str
    traces: dict[str, TraceFacts] = field(default_factory=dict)
    """What the cells' traces say; a trace that cannot be read is absent from its outcome, with the reason."""

    @property
    def baseline(self) -> Completed | None:
        """The baseline's samples, or None where it did not complete."""
        return self.completed(self.plan.baseline_id)

    @property
    def candidates(self) -> tuple[PlannedCell, ...]:
        """The cells that are compared with the baseline."""
        return tuple(planned for planned in self.plan.compared if planned.role == "candidate")

    @property
    def policy(self) -> Policy:
        """The policy that judged the run, or the one that will."""
        return self.judgement.policy if self.judgement else self.plan.policy

    @cached_property
    def prompt_texts(self) -> dict[str, str]:
        """Prompt id → text."""
        return {prompt.id: prompt.text for prompt in self.plan.prompts}

    @cached_property
    def _verdicts(self) -> dict[str, CellVerdict]:
        return {verdict.cell_id: verdict for verdict in self.judgement.cells} if self.judgement else {}

    @cached_property
    def _deltas(self) -> dict[str, list[Delta]]:
        grouped: dict[str, list[Delta]] = {}
        for delta in self.evaluation.deltas if self.evaluation else ():
            grouped.setdefault(delta.cell_id, []).append(delta)
        return grouped

    def completed(self, cell_id: str) -> Completed | None:
        """Return a cell's samples, or None where it did not complete."""
        outcome = self.outcomes.get(cell_id)
        return outcome if isinstance(outcome, Completed) else None

    def verdict(self, cell_id: str) -> CellVerdict | None:
        """Return a cell's verdict, or None where it was not judged."""
        return self._verdicts.get(cell_id)

    def deltas(self, cell_id: str) -> list[Delta]:
        """Return a cell's changes against the baseline, one a metric."""
        return self._deltas.get(cell_id, [])

    def tail(self, cell_id: str) -> Tail | None:
        """Return what a cell's means hide, or None where it was not evaluated."""
        tails = self.evaluation.tails if self.evaluation else ()
        return next((tail for tail in tails if tail.cell_id == cell_id), None)


def load(run: Path) -> LoadedRun:
    """Return all records of a run; ResultsError where they cannot be read, but for traces: the rest stands without."""
    matrix_file, traced = RunFolder(run).matrix_toml, read_traced(run, read_outcomes(run))
    return LoadedRun(
        run=run,
        plan=read_plan(run),
        outcomes=traced.outcomes,
        evaluation=read_evaluation(run),
        judgement=read_judgement(run),
        times=tuple(read_times(run)),
        matrix_text=matrix_file.read_text(errors="replace", encoding="utf-8") if matrix_file.exists() else "",
        traces=traced.facts,
    )
