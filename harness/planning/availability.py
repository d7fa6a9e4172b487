"""Why a cell cannot run here: found in the plan, before any time is spent."""

from itertools import combinations

from harness.core.axis import Context
from harness.core.cell import Cell
from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.core.outcome import Caution
from harness.planning.settle import live_values


def skip_reason(cell: Cell, model: ModelInfo, machine: Machine) -> str | None:
    """Return why a cell cannot run on this machine with this model, or None if it can.

    What cannot be on any machine is told before what is missing on this one: nobody should fetch weights in vain.
    """
    context = Context(model, machine, live_values(cell))
    checks = (_conflict, _model_conflict, _refusal, _unavailable)
    return next((reason for check in checks if (reason := check(cell, context)) is not None), None)


def find_cautions(cell: Cell, model: ModelInfo, machine: Machine) -> tuple[Caution, ...]:
    """Return what the values of a cell warn of."""
    context = Context(model, machine, live_values(cell))
    return tuple(caution for value in context.values.values() for caution in value.cautions(context))


def _unavailable(cell: Cell, context: Context) -> str | None:
    for axis, value in context.values.items():
        unavailable = value.unavailable(context.machine)
        if unavailable is not None:
            return f"{axis} {cell.setting(axis)}: {unavailable}"
    return None


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
