"""The figures of one cell, each a number with its unit or absent with a reason."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.outcome import ColdStart, Completed, Failed, Peak, Skipped
from harness.core.plan import PlannedCell
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.reporting.gated_losses import WorstLoss, worst_loss
from harness.reporting.loaded import LoadedRun
from harness.reporting.normalized_latency import normalize_latency
from harness.reporting.timing import (
    Payback,
    build_cost_s,
    payback,
    speedup_shown,
    stage_medians,
)

EAGER = {"compiler": "eager"}
"""What a compiled cell is without its compiler."""

Standing = Literal["baseline", "pass", "fail", "inconclusive", "missing", "unjudged", "skipped", "failed", "pending"]
"""Where a cell stands: a verdict, or why there is none."""


class Timing(Frozen):
    """Times of one completed cell: `latency_s` is one call of the whole pipeline at the cell's batch size."""

    latency_s: Interval
    p95_s: float
    batch: int
    throughput: float
    """Images per second at the median latency."""
    speedup: Interval | Absent
    """Seconds per image of the baseline ÷ of this cell."""
    normalized_s: float
    """Seconds per image on the baseline's clock: what cells are ranked by, known also where one look is no interval."""
    stages_s: dict[str, float]
    cold: ColdStart
    build_cost_s: float
    """Seconds that applying, building and compiling the settings take from nothing; none of it is in the latency."""
    payback: Payback | Absent
    """Against the cell that is the same but eager, where the run has it, else against the baseline."""

    @property
    def image_s(self) -> Interval:
        """Seconds per image: the latency divided by the batch."""
        whole = self.latency_s
        parts = {name: getattr(whole, name) / self.batch for name in ("estimate", "low", "high")}
        return whole.model_copy(update=parts)


class Facts(Frozen):
    """What is known of one planned cell."""

    planned: PlannedCell
    standing: Standing
    reason: str
    timing: Timing | Absent
    peak_memory: Peak | Absent
    weights_bytes: int | Absent
    denoiser_calls: int | Absent
    images: int
    worst: WorstLoss | Absent

    @property
    def id(self) -> str:
        return self.planned.id


def find_standing(loaded: LoadedRun, planned: PlannedCell) -> tuple[Standing, str]:
    """Return where a cell stands and the reason in words."""
    outcome = loaded.outcomes.get(planned.id)
    if isinstance(outcome, Failed):
        return "failed", f"{outcome.kind} during {outcome.phase}: {outcome.message}"
    if isinstance(outcome, Skipped) or planned.skip:
        return "skipped", outcome.reason if isinstance(outcome, Skipped) else planned.skip or ""
    if outcome is None:
        return "pending", "the run has not come to this cell"
    if planned.id == loaded.plan.baseline_id:
        return "baseline", "what the other cells are compared with"
    verdict = loaded.verdict(planned.id)
    if verdict is None:
        return "unjudged", "measured, but not judged yet"
    return verdict.result, verdict.reason


def _payback(loaded: LoadedRun, planned: PlannedCell, cell: Completed) -> Payback | Absent:
    if planned.id == loaded.plan.baseline_id:
        return Absent(absent="it is the baseline")
    eager = {**planned.cell.by_axis, **EAGER}
    twins = [other.id for other in loaded.plan.compared if other.cell.by_axis == eager and other.id != planned.id]
    for against in (*twins, loaded.plan.baseline_id):
        other = loaded.completed(against)
        if other is not None and other.repeats:
            return payback(cell, other, against, loaded.baseline)
    return Absent(absent="the baseline did not complete")


def _timing(loaded: LoadedRun, planned: PlannedCell, cell: Completed) -> Timing | Absent:
    from harness.stats.latency import cell_latency

    if not cell.repeats or isinstance(cell.cold_start, Absent):
        return Absent(absent="no timed calls")
    summary = cell_latency(cell.pairing)
    return Timing(
        latency_s=summary.median_s,
        p95_s=summary.p95_s,
        batch=cell.batch,
        throughput=cell.batch / summary.median_s.estimate,
        speedup=speedup_shown(loaded.baseline, cell),
        normalized_s=normalize_latency(loaded.baseline, cell).image_s.estimate,
        stages_s=stage_medians(cell),
        cold=cell.cold_start,
        build_cost_s=build_cost_s(cell),
        payback=_payback(loaded, planned, cell),
    )


def compute_facts(loaded: LoadedRun, planned: PlannedCell) -> Facts:
    """Return all figures of one cell."""
    standing, reason = find_standing(loaded, planned)
    cell = loaded.completed(planned.id)
    nothing = Absent(absent=f"{standing}: {reason}")
    return Facts(
        planned=planned,
        standing=standing,
        reason=reason,
        timing=_timing(loaded, planned, cell) if cell else nothing,
        peak_memory=cell.memory.peak() if cell else nothing,
        weights_bytes=sum(cell.weights_bytes.values()) if cell and cell.weights_bytes else nothing,
        denoiser_calls=cell.denoiser_calls if cell else nothing,
        images=len(cell.images) if cell else 0,
        worst=worst_loss(loaded, planned) if cell else nothing,
    )


def all_facts(loaded: LoadedRun) -> tuple[Facts, ...]:
    """Return the figures of the baseline and every candidate, in the plan's order."""
    return tuple(compute_facts(loaded, planned) for planned in loaded.plan.compared)
