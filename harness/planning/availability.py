"""Why a cell cannot run here: found in the plan, before any time is spent."""

from itertools import combinations

from harness.core.cell import Cell
from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.planning.settle import live_values


def skip_reason(cell: Cell, model: ModelInfo, machine: Machine) -> str | None:
    """Return why a cell cannot run on this machine with this model, or None if it can."""
    values = live_values(cell)
    for axis, value in values.items():
        unavailable = value.unavailable(machine)
        if unavailable is not None:
            return f"{axis} {cell.setting(axis)}: {unavailable}"
    return _conflict(cell) or _model_conflict(cell, model) or _wrong_size(cell, model)


def _conflict(cell: Cell) -> str | None:
    values = live_values(cell)
    for (axis, value), (other_axis, other) in combinations(values.items(), 2):
        shared = (value.conflicts & other.tags) | (other.conflicts & value.tags)
        if shared:
            names = f"{axis} {cell.setting(axis)} and {other_axis} {cell.setting(other_axis)}"
            return f"{names} exclude each other ({', '.join(sorted(shared))})"
    return None


def _model_conflict(cell: Cell, model: ModelInfo) -> str | None:
    for axis, value in live_values(cell).items():
        shared = value.conflicts & model.tags
        if shared:
            return f"{axis} {cell.setting(axis)} does not work with the {model.title} ({', '.join(sorted(shared))})"
    return None


def _wrong_size(cell: Cell, model: ModelInfo) -> str | None:
    width, height = (int(side) for side in cell.setting("resolution").name.split("x"))
    if width % model.size_multiple or height % model.size_multiple:
        return (
            f"resolution {width}x{height}: both sides must be multiples of {model.size_multiple} for the {model.title}"
        )
    return None
