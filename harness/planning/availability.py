"""Why a cell cannot run here: found in the plan, before any time is spent."""

from harness.axes.fitting import misfit
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
    return misfit(cell, context) or _unavailable(cell, context)


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
