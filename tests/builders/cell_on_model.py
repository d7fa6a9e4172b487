"""Plan one cell on one tiny model and run it as a worker would: load, apply, call, ask the effects."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from harness.core.axis import Cell
from harness.core.machine import Machine
from harness.core.matrix import Model
from harness.core.model import Call, TextToImage
from harness.core.outcome import Applied
from harness.core.plan import Prompt
from harness.execution.build import Built, Recipe, Setup, apply_values, load_model, read_recipe
from harness.execution.task import Task
from harness.matrix import expand, parse_matrix
from harness.measure.machine import describe_machine
from harness.models import resolve_model
from harness.planning.availability import find_skip_reason, refuse_missing_files
from harness.planning.resolve import resolve_cell

PROMPTS = (Prompt(id="p", text="a small red circle"), Prompt(id="q", text="a large blue ring on white"))
PLAIN = {"steps": "4", "guidance": "2", "resolution": "32x32", "batch": "2"}
"""What a cell has where the value under test says nothing else: small, the same for every family; two images a call."""


class Planned(NamedTuple):
    """A cell on a model, with the reason why it cannot run, if there is one."""

    cell: Cell
    model: Model
    machine: Machine
    reason: str | None


class Made(NamedTuple):
    """Two calls with the same seeds, the recipe they followed, and what the effects told."""

    recipe: Recipe
    model: TextToImage
    first: Any
    second: Any
    applied: tuple[Applied, ...]


FLOAT = 1e-5
"""Largest relative distance of images that float rounding explains. Two loads of the same weights may be aligned
differently, and threads may split the work differently: both change the last bits on some processors."""

BUNDLED = Path()
"""Stands for the bundled model where a folder is asked for."""


def plan_cell(
    folder: Path, settings: dict[str, str], plain: dict[str, str] = PLAIN, machine: Machine | None = None
) -> Planned:
    """Return the cell that a matrix with these settings means on a tiny model; `plain` are those of all cells.

    On this computer, or on another `machine`.
    """
    lines = [f'{axis} = ["{entry}"]' for axis, entry in {**plain, **settings}.items()]
    matrix = parse_matrix("\n".join(['name = "contract"', "[axes]", *lines]))
    return plan_wish(folder, expand(matrix)[0], machine)


def plan_wish(folder: Path, wish: Any, machine: Machine | None = None) -> Planned:
    """Return the cell that settings by axis mean on a tiny model."""
    model = Model() if folder == BUNDLED else Model(source="folder", options={"path": str(folder)})
    info, machine = resolve_model(model).describe(), machine or _machine()
    cell = resolve_cell(wish, info, machine)
    reason = find_skip_reason(cell, info, machine) or refuse_missing_files(cell, info, {})
    return Planned(cell, model, machine, reason)


def run_cell(planned: Planned, cache: Path) -> Made:
    """Load the model, apply the cell's values, make the same images twice, and ask the effects about the second."""
    recipe = read_recipe(planned.cell)
    model = _load(planned, recipe)
    call = recipe.call(PROMPTS, (0,))
    built = apply_values(model, recipe, Setup(call, recipe.batch, cache))
    first = _images(built, call)
    built.start()
    second = _images(built, call)
    return Made(recipe, built.model, first, second, built.report(1))


def distance(images: Any, reference: Any) -> float:
    """Return the relative distance ‖images − reference‖ / ‖reference‖."""
    return float(np.linalg.norm(images - reference) / np.linalg.norm(reference))


LOADED: dict[tuple[str, str, str], TextToImage] = {}
"""Models by folder, its content and number format: copying one takes half the time of loading it."""


def _load(planned: Planned, recipe: Recipe) -> TextToImage:
    task = Task.model_construct(model=planned.model, device=planned.machine.device)
    if recipe.load_options.keys() - {"dtype"} or planned.machine.gpus:
        return load_model(task, recipe)
    dtype = str(recipe.load_options.get("dtype"))
    key = (str(planned.model), resolve_model(planned.model).describe().digest, dtype)
    if key not in LOADED:
        LOADED[key] = load_model(task, recipe)
    return deepcopy(LOADED[key])


def _images(built: Built, call: Call) -> Any:
    return np.asarray(built.model.generate(call), dtype=np.float64)


@lru_cache
def _machine() -> Machine:
    return describe_machine()
