"""How long a cell will take: from rates measured in earlier runs, or a rough guess that is named as one."""

from math import prod

from harness.axes import call_options
from harness.core.cell import Cell
from harness.core.matrix import Matrix
from harness.core.model import ModelInfo
from harness.core.plan import Rate
from harness.planning.settle import live_values

COMPILE_S = 45.0
START_S = 1.5
LEAST_CALLS = 12
"""Of the cell and of the baseline beside it, at a quiet machine."""


def estimate_seconds(cell: Cell, matrix: Matrix, images: int, model: ModelInfo, rate: Rate) -> float:
    """Return the expected wall seconds of a cell: start, compile, warm-up and repeats, images."""
    values = tuple(live_values(cell).values())
    options = call_options(values)
    area = options["width"] * options["height"] / (model.width * model.height)
    steps = int(options["steps"])
    guided = model.guided(options["guidance"])
    passes = steps * prod(value.workload(steps) for value in values) * (2 if guided else 1)
    single_pass_s = 4 * rate.image_step_s  # a batch of one uses the machine badly
    call_s = passes * max(single_pass_s, options["batch"] * rate.image_step_s) * area
    timing_s = matrix.measure.warmup * call_s + max(matrix.measure.min_s, LEAST_CALLS * call_s)
    compile_s = COMPILE_S if any(value.lazy for value in values) else 0.0
    return START_S + compile_s + timing_s + images * passes * rate.image_step_s * area
