"""A run's records, read and joined once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from harness.core.outcome import Outcome
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.core.quality import Definition, Delta, Evaluation, Score, Tail
from harness.core.review import Review
from harness.core.trace import TraceFacts
from harness.core.units import Absent
from harness.core.verdict import CellVerdict, Judgement
from harness.results.cell import CellResult
from harness.results.pareto import LossAxis, ParetoPoint, choose_loss_axis, find_pareto_points
from harness.store import (
    read_evaluation,
    read_judgement,
    read_outcomes,
    read_plan,
    read_reviews,
    read_times,
    read_traced,
)
from harness.store.layout import RunFolder


@dataclass(frozen=True)
class Run:
    """A run in memory. Parts that do not exist yet are None or empty."""

    folder: Path
    plan: Plan
    outcomes: Mapping[str, Outcome]
    evaluation: Evaluation | None = None
    judgement: Judgement | None = None
    times: tuple[tuple[str, float], ...] = ()
    """Wall seconds of each stage that ran, in order."""
    matrix_text: str = ""
    traces: Mapping[str, TraceFacts] = field(default_factory=dict)
    """Cell id → facts of its trace. An unreadable trace is absent from the cell's outcome."""
    reviews: tuple[Review, ...] = ()
    """Human reviews, oldest page first."""

    @classmethod
    def load(cls, folder: Path) -> "Run":
        """Read a run; ResultsError if its records cannot be read. Unreadable traces are absent."""
        traced = read_traced(folder, read_outcomes(folder))
        matrix = RunFolder(folder).matrix_toml
        return cls(
            folder=folder,
            plan=read_plan(folder),
            outcomes=traced.outcomes,
            evaluation=read_evaluation(folder),
            judgement=read_judgement(folder),
            times=tuple(read_times(folder)),
            matrix_text=matrix.read_text("utf-8", "replace") if matrix.exists() else "",
            traces=traced.facts,
            reviews=read_reviews(folder),
        )

    def cell(self, cell_id: str) -> CellResult:
        """Return the result of a planned cell; KeyError if the plan has no such cell."""
        return self._by_id[cell_id]

    @cached_property
    def cells(self) -> tuple[CellResult, ...]:
        """The baseline and the candidates, in the plan's order."""
        return tuple(self._by_id[planned.id] for planned in self.plan.compared)

    @cached_property
    def baseline(self) -> CellResult:
        return self._by_id[self.plan.baseline_id]

    @property
    def candidates(self) -> tuple[CellResult, ...]:
        return tuple(cell for cell in self.cells if cell.planned.role == "candidate")

    @property
    def policy(self) -> Policy:
        """The policy that judged the run, or the planned one."""
        return self.judgement.policy if self.judgement else self.plan.policy

    @property
    def has_prices(self) -> bool:
        prices = self.plan.matrix.prices
        return bool(prices.per_hour) or prices.per_kwh is not None

    @cached_property
    def pareto_points(self) -> dict[str, ParetoPoint]:
        """Cell id → place in the chart of time and loss, in the plan's order."""
        return {point.cell.id: point for point in find_pareto_points(self)}

    @cached_property
    def loss_axis(self) -> LossAxis:
        """The margin that losses are compared with."""
        return choose_loss_axis(self)

    @cached_property
    def prompt_texts(self) -> dict[str, str]:
        """Prompt id → text."""
        return {prompt.id: prompt.text for prompt in self.plan.prompts}

    @cached_property
    def deltas(self) -> dict[str, dict[str, Delta]]:
        """Cell id → metric → change against the baseline."""
        found: dict[str, dict[str, Delta]] = {}
        for delta in self.evaluation.deltas if self.evaluation else ():
            found.setdefault(delta.cell_id, {})[delta.metric] = delta
        return found

    @cached_property
    def scores(self) -> dict[str, dict[str, Score]]:
        """Cell id → metric → score."""
        found: dict[str, dict[str, Score]] = {}
        for score in self.evaluation.scores if self.evaluation else ():
            found.setdefault(score.cell_id, {})[score.definition.metric] = score
        return found

    @cached_property
    def definitions(self) -> dict[str, Definition]:
        """Metric → what its scores and losses mean."""
        evaluation = self.evaluation
        records: tuple[Score | Delta, ...] = (
            (*evaluation.scores, *evaluation.deltas) if evaluation else ()
        )
        return {record.definition.metric: record.definition for record in records}

    @cached_property
    def tails(self) -> dict[str, Tail]:
        """Cell id → broken images and worst deciles."""
        return {tail.cell_id: tail for tail in (self.evaluation.tails if self.evaluation else ())}

    @cached_property
    def verdicts(self) -> dict[str, CellVerdict]:
        """Cell id → verdict."""
        cells = self.judgement.cells if self.judgement else ()
        return {verdict.cell_id: verdict for verdict in cells}

    def missing_metric(self, metric: str) -> Absent | None:
        """Return why a metric could not be computed at all; its profile may be left out."""
        reasons = self.evaluation.missing if self.evaluation else {}
        for name, why in reasons.items():
            if metric in (name, name.partition(":")[0]):
                return Absent(absent=why)
        return None

    @cached_property
    def _by_id(self) -> dict[str, CellResult]:
        return {planned.id: CellResult(self, planned) for planned in self.plan.cells}
