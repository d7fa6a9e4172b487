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
    """The cells a claim is about, as they were measured; `baseline` only where the quantity is of a pair.

    `beside` is the run's baseline, which both were timed beside.
    """

    cell_id: str
    candidate: Completed
    baseline: Completed | None
    evaluation: Evaluation | None
    beside: Completed | None


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
    return _plain(
        mine
        if isinstance(mine, Absent)
        else theirs
        if isinstance(theirs, Absent)
        else mine / theirs
    )


def _timed(quantity: Quantity, cells: Measured) -> Interval | Absent:
    if quantity == "speedup":
        return _speedup(cells)
    if not cells.candidate.repeats:
        return Absent(absent="no timed calls")
    from harness.stats.latency import cell_latency, latency_of

    if quantity == "latency-s":
        return cell_latency(cells.candidate.pairing).median_s
    steps = _steps(cells.candidate)
    return (
        latency_of(steps).median_s
        if steps
        else Absent(absent="its denoiser calls were not timed apart")
    )


def _speedup(cells: Measured) -> Interval | Absent:
    from harness.stats.speedup import over_other

    assert cells.baseline is not None  # a speedup is of a pair
    found = over_other(cells.beside, cells.baseline, cells.candidate)
    return found if isinstance(found, Absent) else found.interval


def _steps(cell: Completed) -> list[list[float]]:
    """Return of each warm block the median seconds of a denoiser call, one a call of the pipeline."""
    from statistics import median

    from harness.stats.steady_state import steady_blocks

    blocks = (
        [median(call.steps_s) for call in block.repeats if call.steps_s]
        for block in steady_blocks(cell.pairing)
    )
    return [block for block in blocks if block]


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
    if not isinstance(memory.allocated_bytes, Absent):
        return memory.allocated_bytes / GIB
    peak = memory.peak()
    return peak if isinstance(peak, Absent) else peak.count / GIB


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
                return Absent(
                    absent=f"{claim.metric} was scored on {score.n:,} images, claimed on {claim.images:,}"
                )
            return score.value
    return Absent(
        absent=cells.evaluation.missing.get(claim.metric, f"{claim.metric} was not scored")
    )
