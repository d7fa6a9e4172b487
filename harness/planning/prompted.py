"""What a matrix's prompts bring that a cell cannot use: a latent of another size, negative prompts without guidance."""

from collections.abc import Sequence

from harness.axes import call_options
from harness.core.cell import Cell
from harness.core.model import CutTexts, ModelInfo
from harness.core.outcome import Caution
from harness.core.plan import Latent, Prompt
from harness.planning.settle import live_values

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
