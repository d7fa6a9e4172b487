"""Does a cell fit into its device's memory? Found before anything is loaded."""

from harness.axes import all_axes, call_options
from harness.core.cell import Cell
from harness.core.footprint import Footprint
from harness.core.machine import Machine
from harness.core.model import ModelInfo
from harness.core.units import format_bytes
from harness.planning.settle import live_values

FULL_BYTES = 4
"""Of one number before any value says in what it is held."""


def misfit(cell: Cell, model: ModelInfo, machine: Machine, free_bytes: int | None) -> str | None:
    """Return why a cell does not fit into the memory that is free, or None if it does or nothing is known."""
    if free_bytes is None or not model.parameters:
        return None
    need = footprint(cell, model, machine)
    if need.needed <= free_bytes:
        return None
    weights, working = format_bytes(need.weights_bytes), format_bytes(need.activations_bytes)
    parts = f"{weights} of weights and {working} to work in"
    if need.loading > need.weights_bytes + need.activations_bytes:
        parts = f"{format_bytes(need.loading)} while its weights are loaded, {parts}"
    place = f"{machine.device}:0" if machine.gpus else "this machine"
    return f"needs about {format_bytes(need.needed)} ({parts}), {format_bytes(free_bytes)} is free on {place}"


def footprint(cell: Cell, model: ModelInfo, machine: Machine) -> Footprint:
    """Return what a cell surely needs on its machine's device, asking every value what it changes."""
    values = live_values(cell)
    options = call_options(values.values())
    images = options["batch"] * options["width"] * options["height"] / (model.width * model.height)
    calls = {"denoiser": images * (2 if model.guided(options["guidance"]) else 1)}
    need = Footprint(
        weights={role: count * FULL_BYTES for role, count in model.parameters.items()},
        activations={role: n * calls.get(role, images) * FULL_BYTES for role, n in model.activations.items()},
        auto_bytes=2 if machine.native_fp16 else 4,
    )
    for axis in sorted(all_axes(), key=lambda axis: (axis.apply_order, axis.order)):
        need = values[axis.name].footprint(need)
    return need
