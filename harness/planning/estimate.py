"""How long a cell will take: from rates measured in earlier runs, or a rough guess that is named as one."""

from math import prod
from typing import NamedTuple

from harness.axes import call_options
from harness.core.axis import Cell
from harness.core.matrix import Matrix, Measure
from harness.core.model import ModelInfo
from harness.core.plan import PlannedCell, Rate
from harness.core.timing import BLOCK_S, MIN_ROUNDS_FOR_INTERVAL
from harness.planning.resolve import live_values
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT

COMPILE_S = 45.0
START_S = 1.5


class EstimateInputs(NamedTuple):
    """What the time of all cells of a plan follows from."""

    matrix: Matrix
    model: ModelInfo
    rate: Rate
    baseline: Cell


def estimate_seconds(planned: PlannedCell, images: int, inputs: EstimateInputs) -> float:
    """Return the expected wall seconds of a cell: start, compile, timed calls by turns with the baseline, images."""
    values = tuple(live_values(planned.cell).values())
    passes, area, _ = _work(planned.cell, inputs.model)
    compile_s = COMPILE_S if any(value.lazy for value in values) else 0.0
    return START_S + compile_s + _timing_s(planned, inputs) + images * passes * inputs.rate.image_step_s * area


def _timing_s(planned: PlannedCell, inputs: EstimateInputs) -> float:
    """Return the seconds of warm-up and blocks on a quiet machine, where the least number of groups is enough."""
    call_s, baseline_s = (_call_s(cell, inputs) for cell in (planned.cell, inputs.baseline))
    if not planned.timed:
        return call_s
    measure = inputs.matrix.measure
    warmup_s = measure.warmup * call_s
    if planned.role == "baseline":
        return warmup_s + _blocks_s(max(BLOCK_S, call_s), measure)
    start_s = START_S + measure.warmup * baseline_s if planned.role == "rerun" else 0.0  # of the baseline beside it
    return start_s + baseline_s + warmup_s + _blocks_s(2 * (max(BLOCK_S, call_s) + max(BLOCK_S, baseline_s)), measure)


def _blocks_s(round_s: float, measure: Measure) -> float:
    enough_s = max(measure.min_s, MIN_ROUNDS_FOR_VERDICT * round_s)
    return max(min(enough_s, measure.max_s), MIN_ROUNDS_FOR_INTERVAL * round_s)


def _call_s(cell: Cell, inputs: EstimateInputs) -> float:
    """Return the seconds of one call at the cell's batch size."""
    passes, area, batch = _work(cell, inputs.model)
    single_pass_s = 4 * inputs.rate.image_step_s  # a batch of one uses the machine badly
    return passes * max(single_pass_s, batch * inputs.rate.image_step_s) * area


def _work(cell: Cell, model: ModelInfo) -> tuple[float, float, float]:
    """Return denoiser passes of an image, its area in the model's own, and images of a call."""
    values = tuple(live_values(cell).values())
    options = call_options(values)
    area = options["width"] * options["height"] / (model.width * model.height)
    steps = int(options["steps"])
    guided = model.guided(options["guidance"])
    passes = steps * prod(value.workload(steps) for value in values) * (2 if guided else 1)
    return passes, area, options["batch"]
