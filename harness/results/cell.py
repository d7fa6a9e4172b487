"""One cell of a run: each figure is a value, or absent with the reason."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar

from harness.core.cost import Cost, image_cost, image_energy_j
from harness.core.outcome import ColdStart, Completed, Failed, Outcome, Peak, Skipped
from harness.core.plan import PlannedCell
from harness.core.quality import Delta, Interval, Score, Tail
from harness.core.trace import TraceFacts
from harness.core.units import Absent
from harness.core.verdict import CellVerdict
from harness.results.losses import GatedLoss, WorstLoss, find_gated_losses, find_worst_loss
from harness.results.preference import Preference, find_preference
from harness.results.timing import (
    BreakEven,
    NormalizedLatency,
    break_even,
    build_cost_s,
    image_seconds,
    interval_half_width,
    normalize_latency,
    per_image,
    stage_medians,
)

if TYPE_CHECKING:
    from harness.results.pareto import ParetoPoint
    from harness.results.run import Run
    from harness.stats.latency import Latency
    from harness.stats.speedup import Speedup

T = TypeVar("T")

Standing = Literal[
    "baseline",
    "pass",
    "fail",
    "inconclusive",
    "missing",
    "unjudged",
    "skipped",
    "failed",
    "pending",
]
"""A cell's verdict, or why it has none."""
NOT_ALONGSIDE = Absent(absent="it was not timed alongside the baseline")


def _if_timed(compute: Callable[["CellResult", Completed], T]) -> cached_property[T | Absent]:
    """Make a property of a figure that only cells with timed calls have."""

    def read(cell: "CellResult") -> T | Absent:
        timed = cell.timed
        return timed if isinstance(timed, Absent) else compute(cell, timed)

    read.__doc__ = compute.__doc__
    return cached_property(read)


@dataclass(frozen=True)
class CellResult:
    """A planned cell with its outcome, scores, verdict and trace, and the run it belongs to."""

    run: "Run"
    planned: PlannedCell

    @property
    def id(self) -> str:
        return self.planned.id

    @property
    def is_baseline(self) -> bool:
        return self.id == self.run.plan.baseline_id

    @property
    def outcome(self) -> Outcome | None:
        return self.run.outcomes.get(self.id)

    @property
    def samples(self) -> Completed | None:
        """The raw samples, or None if the cell did not complete."""
        return self.outcome if isinstance(self.outcome, Completed) else None

    @property
    def deltas(self) -> Mapping[str, Delta]:
        """Metric → change against the baseline."""
        return self.run.deltas.get(self.id, {})

    @property
    def scores(self) -> Mapping[str, Score]:
        """Metric → score."""
        return self.run.scores.get(self.id, {})

    @property
    def tail(self) -> Tail | None:
        return self.run.tails.get(self.id)

    @cached_property
    def preference(self) -> Preference | Absent:
        """What people preferred in human reviews."""
        return find_preference(self)

    @property
    def verdict(self) -> CellVerdict | None:
        return self.run.verdicts.get(self.id)

    @property
    def trace(self) -> TraceFacts | None:
        """The facts of a readable trace."""
        return self.run.traces.get(self.id)

    @property
    def standing(self) -> Standing:
        return self._standing[0]

    @property
    def reason(self) -> str:
        return self._standing[1]

    @cached_property
    def _standing(self) -> tuple[Standing, str]:
        outcome, verdict = self.outcome, self.verdict
        if isinstance(outcome, Failed):
            return "failed", f"{outcome.kind} during {outcome.phase}: {outcome.message}"
        if isinstance(outcome, Skipped) or self.planned.skip:
            return "skipped", (
                outcome.reason if isinstance(outcome, Skipped) else self.planned.skip or ""
            )
        if outcome is None:
            return "pending", "the run has not reached this cell"
        if self.is_baseline:
            return "baseline", "the other cells are compared with it"
        if verdict is None:
            return "unjudged", "measured, but not judged yet"
        return verdict.result, verdict.reason

    @cached_property
    def absence(self) -> Absent:
        """Why a cell that did not complete has no figures."""
        return Absent(absent=f"{self.standing}: {self.reason}")

    @cached_property
    def timed(self) -> Completed | Absent:
        """The samples of a cell that was timed in this run."""
        if self.samples is None:
            return self.absence
        if not self.samples.repeats or isinstance(self.samples.cold_start, Absent):
            return Absent(absent="no timed calls")
        return self.samples

    @_if_timed
    def latency(self, timed: Completed) -> "Latency":
        """The seconds of one whole-pipeline call at the cell's batch size."""
        from harness.stats.latency import cell_latency

        return cell_latency(timed.pairing)

    @_if_timed
    def image_s(self, timed: Completed) -> Interval:
        """The median seconds per image, by the cell's own clock."""
        assert not isinstance(self.latency, Absent)
        return per_image(self.latency.median_s, timed.batch)

    @_if_timed
    def images_per_s(self, timed: Completed) -> float:
        assert not isinstance(self.latency, Absent)
        return timed.batch / self.latency.median_s.estimate

    @_if_timed
    def normalized(self, timed: Completed) -> NormalizedLatency:
        """Seconds per image on the baseline's clock: cells are ranked by it."""
        return normalize_latency(self.run.baseline.samples, timed)

    @cached_property
    def ratio(self) -> "Speedup | Absent":
        """The speedup over the baseline with its confidence distribution."""
        from harness.stats.speedup import over_baseline

        if self.samples is None:
            return self.absence
        return over_baseline(self.run.baseline.samples, self.samples)

    @_if_timed
    def speedup(self, timed: Completed) -> Interval | Absent:
        """Seconds per image of the baseline ÷ of this cell."""
        if self.is_baseline:
            return Interval(estimate=1.0, low=1.0, high=1.0, method="the baseline itself")
        return self.ratio if isinstance(self.ratio, Absent) else self.ratio.interval

    @property
    def precision(self) -> float | None:
        """The relative half-width of the speedup's interval; of the latency's if timed alone."""
        if isinstance(self.timed, Absent) or isinstance(self.latency, Absent):
            return None
        alone = self.timed.pairing.kind == "alone"
        return interval_half_width(self.latency.median_s if alone else self.speedup)

    @_if_timed
    def baseline_image_s(self, timed: Completed) -> float | Absent:
        """The baseline's median seconds per image in the blocks alongside this cell's."""
        baseline = self.run.baseline.samples
        found = image_seconds(timed, "baseline", baseline.batch) if baseline else None
        return NOT_ALONGSIDE if found is None else found

    @_if_timed
    def stages_s(self, timed: Completed) -> dict[str, float]:
        """Stage → median seconds of a call."""
        return stage_medians(timed)

    @property
    def cold_start(self) -> ColdStart | Absent:
        return self.samples.cold_start if self.samples else self.absence

    @_if_timed
    def build_cost_s(self, timed: Completed) -> float:
        """Seconds that applying, building and compiling take without caches."""
        return build_cost_s(timed)

    @_if_timed
    def break_even(self, timed: Completed) -> BreakEven | Absent:
        """When faster images outweigh the cost of building.

        Against the same cell run eagerly if the run has it, else against the baseline.
        """
        if self.is_baseline:
            return Absent(absent="it is the baseline")
        eager = {**self.planned.cell.by_axis, "compiler": "eager"}
        twins = [c for c in self.run.cells if c.planned.cell.by_axis == eager and c is not self]
        for other in (*twins, self.run.baseline):
            if isinstance(other.timed, Completed):
                return break_even(timed, other.timed, other.id, self.run.baseline.samples)
        return Absent(absent="the baseline did not complete")

    @property
    def peak_memory(self) -> Peak | Absent:
        return self.samples.memory.peak() if self.samples else self.absence

    @property
    def counter_difference(self) -> str:
        """How the baseline's memory was counted, if another counter counted the cell's."""
        mine, other = self.peak_memory, self.run.baseline.peak_memory
        if isinstance(mine, Absent) or isinstance(other, Absent) or mine.counter == other.counter:
            return ""
        return other.counter

    @property
    def weights_bytes(self) -> int | Absent:
        if self.samples is None or not self.samples.weights_bytes:
            return self.absence
        return sum(self.samples.weights_bytes.values())

    @property
    def denoiser_calls(self) -> int | Absent:
        return self.samples.denoiser_calls if self.samples else self.absence

    @cached_property
    def energy_j(self) -> float | Absent:
        """Joules per image, as the device drew them in the cell's blocks after warm-up."""
        return self._energy_j("cell")

    @cached_property
    def image_cost(self) -> Cost | Absent:
        """The cost of one image by the matrix's prices."""
        image_s = self.image_s
        if isinstance(image_s, Absent):
            return image_s
        plan = self.run.plan
        return image_cost(plan.matrix.prices, plan.machine, image_s.estimate, self.energy_j)

    @property
    def priced(self) -> Cost | Absent | None:
        """The cost of one image; None if the matrix gives no prices."""
        return self.image_cost if self.run.has_prices else None

    @cached_property
    def baseline_cost(self) -> Cost | Absent:
        """The cost of one of the baseline's images in the blocks alongside this cell's."""
        image_s, plan = self.baseline_image_s, self.run.plan
        if isinstance(image_s, Absent):
            return NOT_ALONGSIDE
        return image_cost(plan.matrix.prices, plan.machine, image_s, self._energy_j("baseline"))

    def _energy_j(self, side: Literal["cell", "baseline"]) -> float | Absent:
        from harness.stats.steady_state import steady_blocks

        owner = self.samples if side == "cell" else self.run.baseline.samples
        if self.samples is None or owner is None:
            return self.absence
        return image_energy_j(steady_blocks(self.samples.pairing, side), owner.batch)

    @cached_property
    def gated_losses(self) -> tuple[GatedLoss, ...]:
        """The losses and changes that rules judge, or will judge; those of error rules first."""
        return find_gated_losses(self)

    @property
    def deciding_losses(self) -> tuple[GatedLoss, ...]:
        """The losses under error rules; without any, the losses of metrics that gate by default."""
        decide = tuple(
            loss for loss in self.gated_losses if loss.rule and loss.rule.severity == "error"
        )
        return decide or tuple(GatedLoss(d) for d in self.deltas.values() if d.gates)

    @cached_property
    def worst_loss(self) -> WorstLoss | Absent:
        """The deciding loss that uses most of its margin."""
        if self.samples is None:
            return self.absence
        if self.is_baseline:
            return Absent(absent="the baseline loses nothing against itself")
        if self.run.evaluation is None:
            return Absent(absent="not evaluated yet")
        return find_worst_loss(self.deciding_losses)

    @property
    def pareto_point(self) -> "ParetoPoint | None":
        """Its place in the chart of time and loss; None if it lacks either."""
        return self.run.pareto_points.get(self.id)

    @property
    def image_count(self) -> int:
        return len(self.samples.images) if self.samples else 0

    @property
    def prompts_judged(self) -> int | None:
        """The prompts its losses rest on; None if it was not evaluated."""
        return max((delta.prompts for delta in self.deltas.values()), default=None)

    @property
    def interim_analysis(self) -> int | None:
        """The number (from 1) of its last interim analysis; None if the run has none."""
        prompts, analyses = self.prompts_judged, self.run.plan.interim_analyses
        if prompts is None or not analyses:
            return None
        reached = (number for number, most in enumerate(analyses, 1) if most >= prompts)
        return next(reached, len(analyses))
