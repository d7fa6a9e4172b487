"""Whether the values of a cell go together with each other and with the model."""

from collections.abc import Callable
from itertools import combinations

from harness.axes import read_entry, resolve_setting
from harness.core.axis import Cell, Context
from harness.core.errors import UsageError
from harness.core.machine import Machine
from harness.core.model import ModelInfo


def misfit(cell: Cell, context: Context) -> str | None:
    """Return why a cell cannot run on any machine, naming both sides, or None; `context` holds its live values."""
    checks = (_conflict, _model_conflict, _refusal)
    return next((reason for check in checks if (reason := check(cell, context)) is not None), None)


def fitting(cell: Cell, model: ModelInfo, machine: Machine) -> Callable[[str, str], bool]:
    """Return what says of an axis and a value whether the cell could have it, its other settings as they are.

    What the cell itself lacks by now, such as a file that was moved, is not held against the value; of a cell with a
    value that is not there any more, nothing is known to exclude another.
    """

    def why_not(tried: Cell) -> str | None:
        values = {setting.axis: resolve_setting(setting) for setting in tried.settings}
        return misfit(tried, Context(model, machine, values))

    try:
        own = why_not(cell)
    except UsageError:
        return lambda *_: True  # results outlive the values they were made with

    def fits(axis: str, value: str) -> bool:
        others = tuple(setting for setting in cell.settings if setting.axis != axis)
        return why_not(cell.model_copy(update={"settings": (*others, read_entry(axis, value))})) in (None, own)

    return fits


def _conflict(cell: Cell, context: Context) -> str | None:
    for (axis, value), (other_axis, other) in combinations(context.values.items(), 2):
        shared = (value.conflicts & other.tags) | (other.conflicts & value.tags)
        if shared:
            names = f"{axis} {cell.setting(axis)} and {other_axis} {cell.setting(other_axis)}"
            return f"{names} exclude each other ({', '.join(sorted(shared))})"
    return None


def _model_conflict(cell: Cell, context: Context) -> str | None:
    for axis, value in context.values.items():
        shared = value.conflicts & context.model.tags
        if shared:
            reason = f"does not work with the {context.model.title} ({', '.join(sorted(shared))})"
            return f"{axis} {cell.setting(axis)} {reason}"
    return None


def _refusal(cell: Cell, context: Context) -> str | None:
    for axis, value in context.values.items():
        reason = value.refuse(context)
        if reason is not None:
            return f"{axis} {cell.setting(axis)}: {reason}"
    return None
