"""Why a cell cannot run here, found before anything is loaded: conflicts, files, memory, prompts."""

from collections.abc import Mapping, Sequence

from harness.axes import all_axes, call_options
from harness.axes.fitting import misfit
from harness.core.axis import Cell, Context
from harness.core.machine import Machine
from harness.core.model import CutTexts, Footprint, HubFile, ModelInfo, PublishedFile
from harness.core.outcome import Caution
from harness.core.plan import Latent, Plan, Prompt
from harness.core.units import format_bytes
from harness.planning.resolve import live_values


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


FULL_BYTES = 4
"""Of one number before any value says in what it is held."""


def memory_shortage(cell: Cell, model: ModelInfo, machine: Machine, free_bytes: int | None) -> str | None:
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


Answers = Mapping[HubFile, PublishedFile | str]
"""What the Hub has of each file, or in words why it cannot be had."""


def list_cell_files(cell: Cell, model: ModelInfo) -> dict[HubFile, str]:
    """Return the files that a cell lacks, each with the axis and setting that read it."""
    values = live_values(cell).items()
    return {file: f"{axis} {cell.setting(axis)}" for axis, value in values for file in value.wants(model)}


def refuse_missing_files(cell: Cell, model: ModelInfo, answers: Answers) -> str | None:
    """Return why a cell cannot have a file it lacks, or None if all can be fetched."""
    for file, reader in list_cell_files(cell, model).items():
        answer = answers.get(file, f"{file} is not in the Hugging Face cache")
        if isinstance(answer, str):
            return f"{reader}: {answer}"
    return None


def list_downloads(cell: Cell, model: ModelInfo, answers: Answers) -> tuple[PublishedFile, ...]:
    """Return what is fetched for a cell that is ready."""
    found = (answers.get(file) for file in list_cell_files(cell, model))
    return tuple(file for file in found if isinstance(file, PublishedFile))


def note_downloads(plan: Plan) -> Plan:
    """Return the plan with a note on what is fetched for its cells, besides the model."""
    if not plan.downloads:
        return plan
    count, size = len(plan.downloads), format_bytes(sum(file.size_bytes for file in plan.downloads))
    listed = ", ".join(f"{file.file} of {file.repo}" for file in plan.downloads)
    note = f"download before the first cell: {count} file{'s' if count > 1 else ''}, {size}: {listed}"
    return plan.model_copy(update={"notes": (*plan.notes, note)})


_NAMED = 5


def refuse_latent(latent: Latent | None, cell: Cell, model: ModelInfo) -> str | None:
    """Return why the images of a cell cannot start from a latent, naming both, or None if they can."""
    if latent is None:
        return None
    if model.latent is None:
        return f"prompts.latent: the {model.title} starts from no latent"
    values = live_values(cell)
    for axis, value in values.items():
        if "cascade" in value.tags:
            return f"prompts.latent and {axis} {cell.setting(axis)} exclude each other: it starts smaller than it ends"
    size = call_options(values.values())
    width, height, (channels, scale) = int(size["width"]), int(size["height"]), model.latent
    needed = (channels, height // scale, width // scale)
    if latent.shape == needed:
        return None
    return f"prompts.latent is {_words(latent.shape)}, pictures of {width}x{height} start from {_words(needed)}"


def caution_negatives(prompts: Sequence[Prompt], cell: Cell, model: ModelInfo) -> tuple[Caution, ...]:
    """Return a warning where negative prompts change nothing: they need the second pass of true guidance."""
    scale = call_options(live_values(cell).values())["guidance"]
    if all(prompt.negative is None for prompt in prompts) or model.guided(scale):
        return ()
    embedded, none = ("embedded-guidance" in model.tags, "no-guidance" in model.tags)
    why = "takes its guidance as an input" if embedded else "needs no guidance" if none else "is not guided at 1"
    message = f"negative prompts have no effect: the {model.title} {why}"
    advice = "Leave them out." if embedded or none else "Raise guidance above 1, or leave them out."
    return (Caution(kind="idle-negative", message=message, advice=advice),)


def start_notes(latent: Latent | None) -> list[str]:
    """Return what a plan says of the noise that its images start from."""
    if latent is None:
        return []
    return [f"every image starts from {latent.path} ({_words(latent.shape)}, sha256 {latent.sha256[:12]})"]


def note_cut(prompts: Sequence[Prompt], found: Sequence[CutTexts]) -> list[str]:
    """Return what a plan says of prompts that text encoders do not read to their end."""
    return [_note(prompts, cut) for cut in found]


def _note(prompts: Sequence[Prompt], cut: CutTexts) -> str:
    if cut.uncounted:
        return f"whether {cut.encoder} reads all prompts to their end is not known: {cut.uncounted}"
    long = [prompt.id for prompt in prompts if {prompt.text, prompt.negative} & set(cut.texts)]
    named = ", ".join(long[:_NAMED]) + (", …" if len(long) > _NAMED else "")
    are = "are" if len(long) > 1 else "is"
    return (
        f"{len(long)} of {len(prompts)} prompts {are} longer than {cut.encoder} reads ({cut.tokens} tokens); "
        f"it ignores the rest of them: {named}"
    )


def _words(shape: tuple[int, int, int]) -> str:
    return "×".join(map(str, shape))
