"""What a worker process is told, and what it says back."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.axes import call_options, resolve_setting
from harness.core.axis import Shape
from harness.core.base import Frozen
from harness.core.matrix import Measure, Model
from harness.core.model import Call
from harness.core.outcome import Phase
from harness.core.plan import Latent, Plan, PlannedCell, Prompt


class Task(Frozen):
    """One cell to measure, complete in itself."""

    planned: PlannedCell
    model: Model
    model_digest: str
    """Of the model's files when the plan was made."""
    measure: Measure
    prompts: tuple[Prompt, ...]
    """What the cell is set up and timed with: in every round of an adaptive run the same."""
    pictured: tuple[Prompt, ...]
    """The prompts whose images are made."""
    timed: bool = True
    """False in later rounds, which only add images."""
    seeds: tuple[int, ...]
    latent: Latent | None = None
    """What every image starts from; None: each from noise of its own."""
    device: str
    cores: int
    uses_torch: bool = True
    shapes: tuple[Shape, ...] = ()
    """Of the timed calls of all ready cells of the plan that have this cell's build, its own among them."""
    folder: Path
    """The cell's folder: the worker writes images, traces and its log there, the runner the outcome."""


class Step(NamedTuple):
    """Progress of a worker: the phase it is in, how much of it is done, and what else there is to say."""

    phase: Phase
    done: int = 0
    total: int = 0
    note: str = ""


def make_task(
    plan: Plan, planned: PlannedCell, folder: Path, pictured: tuple[Prompt, ...] = (), timed: bool = True
) -> Task:
    """Return the task of measuring a planned cell and making images of these prompts, or only its images."""
    return Task(
        planned=planned,
        model=plan.matrix.model,
        model_digest=plan.model.digest,
        measure=plan.matrix.measure,
        prompts=plan.prompts_of(planned)[: plan.prompt_counts(planned)[0]],
        pictured=pictured,
        timed=timed,
        seeds=plan.seeds_of(planned),
        latent=plan.latent_of(planned),
        device=plan.machine.device,
        cores=plan.machine.cpu_cores,
        uses_torch=plan.model.uses_torch,
        shapes=_shapes(plan, planned),
        folder=folder,
    )


def _shapes(plan: Plan, planned: PlannedCell) -> tuple[Shape, ...]:
    """Return each shape once, sorted: cells that can share what is built must ask for the same."""
    ready = (other.cell for other in plan.cells if other.skip is None)
    alike = (cell for cell in ready if cell.build_key == planned.cell.build_key)
    asked = (call_options(resolve_setting(setting) for setting in cell.settings) for cell in alike)
    return tuple(sorted({_shape(options) for options in asked}))


def _shape(options: dict[str, float]) -> Shape:
    width, height, images = (int(options[name]) for name in ("width", "height", "batch"))
    return Shape(width, height, options["guidance"], images)


def call_for(call: Call, pairs: Sequence[tuple[Prompt, int]]) -> Call:
    """Return a cell's call for the image of each (prompt, seed)."""
    images = {
        "prompts": tuple(prompt.text for prompt, _ in pairs),
        "keys": tuple((prompt.id, seed) for prompt, seed in pairs),
        "negatives": tuple(prompt.negative for prompt, _ in pairs if prompt.negative is not None),
    }
    return call.model_copy(update=images)
