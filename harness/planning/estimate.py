"""Estimate the time of a cell, from the rates of earlier runs or a rough default."""

from math import prod
from typing import NamedTuple

from harness.axes import collect_call_options
from harness.core.axis import Cell
from harness.core.matrix import Matrix, Measure
from harness.core.model import ModelInfo
from harness.core.plan import PlannedCell, Rate
from harness.core.timing import BLOCK_S, MIN_ROUNDS_FOR_INTERVAL
from harness.planning.resolve import resolve_values
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT

COMPILE_S = 45.0
START_S = 1.5


class EstimateInputs(NamedTuple):
    """What the times of all cells of a plan depend on."""

    matrix: Matrix
    model: ModelInfo
    rate: Rate
    baseline: Cell


def guess_rate(image_step_s: float) -> Rate:
    """Return the rate of a machine on which no run was measured yet."""
    return Rate(image_step_s=image_step_s, source="a rough guess: no earlier run on this machine")


def estimate_seconds(planned: PlannedCell, images: int, inputs: EstimateInputs) -> float:
    """Return the expected wall seconds of a cell: start, compile, timed calls, images."""
    values = resolve_values(planned.cell).values()
    passes, area, _ = _work(planned.cell, inputs.model)
    start_s = START_S + (COMPILE_S if any(value.lazy for value in values) else 0.0)
    return start_s + _timing_s(planned, inputs) + images * passes * inputs.rate.image_step_s * area


def _timing_s(planned: PlannedCell, inputs: EstimateInputs) -> float:
    """Return the seconds of warm-up and blocks if the least number of rounds is enough.

    Cells share the baseline's blocks, which count as the rerun's: it is in the first group.
    """
    call_s, baseline_s = (_call_s(cell, inputs) for cell in (planned.cell, inputs.baseline))
    if not planned.timed:
        return call_s
    measure = inputs.matrix.measure
    warmup_s = measure.warmup * call_s
    if planned.role == "baseline":
        return warmup_s + _blocks_s(max(BLOCK_S, call_s), measure)
    if planned.role == "rerun":  # starts the baseline worker
        warmup_s += START_S + measure.warmup * baseline_s
    own_s, shared_s = 2 * max(BLOCK_S, call_s), 2 * max(BLOCK_S, baseline_s)
    rounds = _blocks_s(own_s + shared_s, measure) / (own_s + shared_s)
    if planned.role == "rerun":
        return warmup_s + baseline_s + rounds * (own_s + shared_s)
    return warmup_s + rounds * own_s


def _blocks_s(round_s: float, measure: Measure) -> float:
    enough_s = max(measure.min_s, MIN_ROUNDS_FOR_VERDICT * round_s)
    return max(min(enough_s, measure.max_s), MIN_ROUNDS_FOR_INTERVAL * round_s)


def _call_s(cell: Cell, inputs: EstimateInputs) -> float:
    """Return the seconds of one call at the cell's batch size."""
    passes, area, batch = _work(cell, inputs.model)
    single_pass_s = 4 * inputs.rate.image_step_s  # small batches use a device badly
    return passes * max(single_pass_s, batch * inputs.rate.image_step_s) * area


def _work(cell: Cell, model: ModelInfo) -> tuple[float, float, float]:
    """Return denoiser passes per image, its area relative to the model's, and images per call."""
    values = tuple(resolve_values(cell).values())
    options = collect_call_options(values)
    area = options["width"] * options["height"] / (model.width * model.height)
    steps = int(options["steps"])
    guided = model.guided(options["guidance"])
    passes = steps * prod(value.workload(steps) for value in values) * (2 if guided else 1)
    return passes, area, options["batch"]
