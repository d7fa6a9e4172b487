"""Whether the values of a cell can be combined with each other and with the model."""

from collections.abc import Callable
from itertools import combinations

from harness.axes import read_entry, resolve_setting
from harness.core.axis import Cell, Context
from harness.core.errors import UsageError
from harness.core.machine import Machine
from harness.core.model import ModelInfo


def explain_conflict(cell: Cell, context: Context) -> str | None:
    """Return why a cell cannot run on any machine, naming both sides, or None.

    `context` has the cell's values.
    """
    checks = (_compare_values, _compare_with_model, _ask_values)
    return next((reason for check in checks if (reason := check(cell, context)) is not None), None)


def make_fit_check(cell: Cell, model: ModelInfo, machine: Machine) -> Callable[[str, str], bool]:
    """Return a check whether an axis of the cell could have another value.

    A conflict that the cell itself has now, such as a missing file, excludes no value. For a cell
    with a value that no longer exists, the check is always true.
    """

    def explain(tried: Cell) -> str | None:
        values = {setting.axis: resolve_setting(setting) for setting in tried.settings}
        return explain_conflict(tried, Context(model, machine, values))

    try:
        present = explain(cell)
    except UsageError:
        return lambda *_: True

    def check(axis: str, value: str) -> bool:
        others = tuple(setting for setting in cell.settings if setting.axis != axis)
        settings = (*others, read_entry(axis, value))
        return explain(cell.model_copy(update={"settings": settings})) in (None, present)

    return check


def _compare_values(cell: Cell, context: Context) -> str | None:
    for (axis, value), (other_axis, other) in combinations(context.values.items(), 2):
        shared = (value.conflicts & other.tags) | (other.conflicts & value.tags)
        if shared:
            names = f"{axis} {cell.setting(axis)} and {other_axis} {cell.setting(other_axis)}"
            return f"{names} exclude each other ({', '.join(sorted(shared))})"
    return None


def _compare_with_model(cell: Cell, context: Context) -> str | None:
    for axis, value in context.values.items():
        shared = value.conflicts & context.model.tags
        if shared:
            reason = f"does not work with the {context.model.title} ({', '.join(sorted(shared))})"
            return f"{axis} {cell.setting(axis)} {reason}"
    return None


def _ask_values(cell: Cell, context: Context) -> str | None:
    for axis, value in context.values.items():
        if reason := value.refuse(context):
            return f"{axis} {cell.setting(axis)}: {reason}"
    return None
