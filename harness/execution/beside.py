"""Is there room for a cell and the baseline at once? Asked before either is loaded."""

from harness.core.units import format_bytes
from harness.execution.build import read_recipe
from harness.execution.task import Task
from harness.measure.memory import free_bytes


def lack_of_room(task: Task, baseline: Task, waiting: bool) -> str:
    """Return why a cell must have the device to itself, or ''.

    `waiting`: the baseline's weights are there already; what its calls need besides comes back with each of its turns.
    """
    if any("tries-batches" in value.tags for value in read_recipe(task.planned.cell).values):
        return "it looks for the most images that fit into memory"
    needs, beside = task.planned.needs, baseline.planned.needs
    free = free_bytes(task.device)
    if needs is None or beside is None or free is None:
        return ""
    needed = needs.needed + (beside.activations_bytes if waiting else beside.needed)
    if needed <= free:
        return ""
    return f"it and the baseline need about {format_bytes(needed)} at once, {format_bytes(free)} is free"
