"""Why a cell cannot run here, found before loading: conflicts, files, memory, prompts."""

from collections.abc import Mapping, Sequence

from harness.axes import collect_call_options, load_axes
from harness.axes.compatibility import explain_conflict
from harness.core.axis import Cell, Context
from harness.core.machine import Machine
from harness.core.model import CutTexts, Footprint, HubFile, ModelInfo, PublishedFile
from harness.core.outcome import Caution
from harness.core.plan import Latent, Plan, Prompt
from harness.core.units import format_bytes, plural
from harness.planning.resolve import resolve_values

FULL_BYTES = 4
"""Bytes of a number unless an axis value changes its format."""

Answers = Mapping[HubFile, PublishedFile | str]
"""What the Hub has of each file, or the reason why it cannot be fetched."""


def find_skip_reason(cell: Cell, model: ModelInfo, machine: Machine) -> str | None:
    """Return why a cell cannot run on this machine with this model, or None.

    Conflicts come before what is missing on this machine: nobody should download weights in vain.
    """
    context = Context(model, machine, resolve_values(cell))
    reason = explain_conflict(cell, context)
    if reason is not None:
        return reason
    for axis, value in context.values.items():
        unavailable = value.unavailable(machine)
        if unavailable is not None:
            return f"{axis} {cell.setting(axis)}: {unavailable}"
    return None


def find_cautions(cell: Cell, model: ModelInfo, machine: Machine) -> tuple[Caution, ...]:
    """Return the warnings of a cell's values."""
    context = Context(model, machine, resolve_values(cell))
    return tuple(found for value in context.values.values() for found in value.cautions(context))


def find_memory_shortage(
    cell: Cell, model: ModelInfo, machine: Machine, free_bytes: int | None
) -> str | None:
    """Return why a cell does not fit into the free memory, or None if it may fit."""
    if free_bytes is None or not model.parameters:
        return None
    need = estimate_footprint(cell, model, machine)
    if need.needed <= free_bytes:
        return None
    weights, working = format_bytes(need.weights_bytes), format_bytes(need.activations_bytes)
    parts = f"{weights} of weights and {working} to work in"
    if need.loading > need.weights_bytes + need.activations_bytes:
        parts = f"{format_bytes(need.loading)} while its weights are loaded, {parts}"
    place = f"{machine.device}:0" if machine.gpus else "this machine"
    free = f"{format_bytes(free_bytes)} is free on {place}"
    return f"needs about {format_bytes(need.needed)} ({parts}), {free}"


def estimate_footprint(cell: Cell, model: ModelInfo, machine: Machine) -> Footprint:
    """Return the least memory a cell needs on its device, as changed by each of its values."""
    values = resolve_values(cell)
    options = collect_call_options(values.values())
    images = options["batch"] * options["width"] * options["height"] / (model.width * model.height)
    denoised = images * (2 if model.guided(options["guidance"]) else 1)
    activations = {
        role: count * (denoised if role == "denoiser" else images) * FULL_BYTES
        for role, count in model.activations.items()
    }
    need = Footprint(
        weights={role: count * FULL_BYTES for role, count in model.parameters.items()},
        activations=activations,
        auto_bytes=2 if machine.native_fp16 else 4,
    )
    for axis in sorted(load_axes(), key=lambda axis: (axis.apply_order, axis.order)):
        need = values[axis.name].footprint(need)
    return need


def list_cell_files(cell: Cell, model: ModelInfo) -> dict[HubFile, str]:
    """Return the missing files of a cell, each with the axis and setting that read it."""
    values = resolve_values(cell).items()
    wants = ((file, axis) for axis, value in values for file in value.wants(model))
    return {file: f"{axis} {cell.setting(axis)}" for file, axis in wants}


def refuse_missing_files(cell: Cell, model: ModelInfo, answers: Answers) -> str | None:
    """Return why a missing file of a cell cannot be fetched, or None."""
    for file, reader in list_cell_files(cell, model).items():
        answer = answers.get(file, f"{file} is not in the Hugging Face cache")
        if isinstance(answer, str):
            return f"{reader}: {answer}"
    return None


def list_downloads(cell: Cell, model: ModelInfo, answers: Answers) -> tuple[PublishedFile, ...]:
    """Return the files to download for a cell."""
    found = (answers.get(file) for file in list_cell_files(cell, model))
    return tuple(file for file in found if isinstance(file, PublishedFile))


def note_downloads(plan: Plan) -> Plan:
    """Return the plan with a note about downloads for its cells, besides the model."""
    if not plan.downloads:
        return plan
    size = format_bytes(sum(file.size_bytes for file in plan.downloads))
    listed = ", ".join(f"{file.file} of {file.repo}" for file in plan.downloads)
    count = plural(len(plan.downloads), "file")
    note = f"download before the first cell: {count}, {size}: {listed}"
    return plan.model_copy(update={"notes": (*plan.notes, note)})


def refuse_latent(latent: Latent | None, cell: Cell, model: ModelInfo) -> str | None:
    """Return why a cell's images cannot start from a latent, or None."""
    if latent is None:
        return None
    if model.latent is None:
        return f"prompts.latent: the {model.title} starts from no latent"
    values = resolve_values(cell)
    for axis, value in values.items():
        if "cascade" in value.tags:
            both = f"prompts.latent and {axis} {cell.setting(axis)}"
            return f"{both} exclude each other: it starts smaller than it ends"
    size = collect_call_options(values.values())
    width, height, (channels, scale) = int(size["width"]), int(size["height"]), model.latent
    needed = (channels, height // scale, width // scale)
    if latent.shape == needed:
        return None
    start = f"images of {width}x{height} start from {_size(needed)}"
    return f"prompts.latent is {_size(latent.shape)}, {start}"


def warn_of_negatives(
    prompts: Sequence[Prompt], cell: Cell, model: ModelInfo
) -> tuple[Caution, ...]:
    """Return a warning if negative prompts have no effect: they need a second pass for guidance."""
    scale = collect_call_options(resolve_values(cell).values())["guidance"]
    if all(prompt.negative is None for prompt in prompts) or model.guided(scale):
        return ()
    why, advice = "is not guided at 1", "Raise guidance above 1, or leave them out."
    if "embedded-guidance" in model.tags:
        why, advice = "takes its guidance as an input", "Leave them out."
    elif "no-guidance" in model.tags:
        why, advice = "needs no guidance", "Leave them out."
    message = f"negative prompts have no effect: the {model.title} {why}"
    return (Caution(kind="idle-negative", message=message, advice=advice),)


def list_latent_notes(latent: Latent | None) -> list[str]:
    """Return the plan's note about the noise that images start from."""
    if latent is None:
        return []
    details = f"{_size(latent.shape)}, sha256 {latent.sha256[:12]}"
    return [f"every image starts from {latent.path} ({details})"]


def list_truncation_notes(prompts: Sequence[Prompt], found: Sequence[CutTexts]) -> list[str]:
    """Return the plan's notes about prompts that text encoders, of models or metrics, truncate."""
    texts = {prompt.id: (prompt.text, prompt.negative) for prompt in prompts}
    return [note for cut in found if (note := cut.describe(texts))]


def _size(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))
