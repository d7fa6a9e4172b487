"""Load a model and apply a cell's settings to it."""

from typing import NamedTuple

from harness.axes import all_axes, resolve_setting
from harness.core.axis import AxisValue
from harness.core.cell import Cell
from harness.core.model import TextToImage
from harness.execution.task import Task
from harness.models import resolve_model


class Recipe(NamedTuple):
    """A cell's live values in the order in which they are applied, and what they say about load and call."""

    values: tuple[AxisValue, ...]
    load_options: dict[str, object]
    call_options: dict[str, float]

    @property
    def lazy(self) -> bool:
        """Whether some work happens only at the first call, such as compilation."""
        return any(value.lazy for value in self.values)


def read_recipe(cell: Cell) -> Recipe:
    """Return the recipe of a cell."""
    ordered = sorted(all_axes(), key=lambda axis: (axis.apply_order, axis.order))
    values = tuple(resolve_setting(cell.setting(axis.name)) for axis in ordered)
    load_options: dict[str, object] = {}
    call_options: dict[str, float] = {}
    for value in values:
        load_options |= value.load_options()
        call_options |= value.call_options()
    return Recipe(values, load_options, call_options)


def load_model(task: Task, recipe: Recipe) -> TextToImage:
    """Load the task's model with the options its settings ask for."""
    return resolve_model(task.model).load(task.device, dict(recipe.load_options))


def apply_values(model: TextToImage, recipe: Recipe) -> tuple[str, ...]:
    """Apply every value to the loaded model and return the notes of what was done."""
    return tuple(note for value in recipe.values for note in value.apply(model))
