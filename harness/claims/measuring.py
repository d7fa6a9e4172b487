"""What a run says about a claim's quantity: a figure with its interval, or the reason why there is none."""

from typing import NamedTuple

from harness.claims.claim import Claim, Quantity
from harness.core.outcome import Completed
from harness.core.quality import Evaluation, Interval
from harness.core.units import Absent

GIB = 2**30
DENOISERS = ("unet", "transformer", "denoiser")
"""What pipelines call the component that denoises."""


class Measured(NamedTuple):
    """The cells a claim is about, as they were measured; `baseline` only where the quantity is of a pair."""

    cell_id: str
    candidate: Completed
    baseline: Completed | None
    evaluation: Evaluation | None


def measure(claim: Claim, cells: Measured) -> Interval | Absent:
    """Return the claim's quantity as these cells show it."""
    if claim.quantity == "score":
        return _score(claim, cells)
    if claim.quantity == "encoder-calls":
        return _encoder_calls(cells.candidate)
    if claim.quantity in ("speedup", "latency-s", "step-latency-s"):
        return _timed(claim.quantity, cells)
    mine = _gib(claim.quantity, cells.candidate)
    if cells.baseline is None:
        return _plain(mine)
    theirs = _gib(claim.quantity, cells.baseline)
    return _plain(mine if isinstance(mine, Absent) else theirs if isinstance(theirs, Absent) else mine / theirs)


def _timed(quantity: Quantity, cells: Measured) -> Interval | Absent:
    from harness.stats.latency import speedup, summarise_latency

    both = [cells.candidate] if cells.baseline is None else [cells.baseline, cells.candidate]
    if not all(cell.repeats for cell in both):
        return Absent(absent="no timed calls")
    if quantity == "step-latency-s":
        return _step(cells.candidate)
    if len(both) == 1:
        return summarise_latency([repeat.latency_s for repeat in cells.candidate.repeats]).median_s
    theirs, mine = ([repeat.latency_s / cell.batch for repeat in cell.repeats] for cell in both)
    return speedup(theirs, mine)


def _step(cell: Completed) -> Interval | Absent:
    from statistics import median

    from harness.stats.latency import summarise_latency

    steps = [median(repeat.steps_s) for repeat in cell.repeats if repeat.steps_s]
    return summarise_latency(steps).median_s if steps else Absent(absent="its denoiser calls were not timed apart")


def _gib(quantity: Quantity, cell: Completed) -> float | Absent:
    if quantity == "model-memory-gib":
        return sum(cell.weights_bytes.values()) / GIB
    if quantity == "denoiser-memory-ratio":
        held = [count for name, count in cell.weights_bytes.items() if name in DENOISERS and count]
        return sum(held) / GIB if held else Absent(absent="the bytes of its denoiser are not known")
    return _peak(cell)


def _peak(cell: Completed) -> float | Absent:
    """What the timed calls allocated on the GPU, as published figures have it; on a CPU the process at its highest."""
    memory = cell.memory
    peak = memory.peak_bytes if isinstance(memory.allocated_bytes, Absent) else memory.allocated_bytes
    return peak if isinstance(peak, Absent) else peak / GIB


def _plain(value: float | Absent) -> Interval | Absent:
    if isinstance(value, Absent):
        return value
    return Interval(estimate=value, low=value, high=value, method="one measurement")


def _encoder_calls(cell: Completed) -> Interval | Absent:
    for done in cell.applied:
        count = done.figures.get("encoder_calls")
        if isinstance(count, int | float):
            return _plain(float(count))
    return Absent(absent="nothing counted the text encoders' calls")


def _score(claim: Claim, cells: Measured) -> Interval | Absent:
    if cells.evaluation is None:
        return Absent(absent="the run was not evaluated: harness evaluate")
    for score in cells.evaluation.scores:
        if score.cell_id == cells.cell_id and score.definition.metric == claim.metric:
            if claim.images and score.n != claim.images:
                return Absent(absent=f"{claim.metric} was scored on {score.n:,} images, claimed on {claim.images:,}")
            return score.value
    return Absent(absent=cells.evaluation.missing.get(claim.metric, f"{claim.metric} was not scored"))
