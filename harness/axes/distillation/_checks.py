"""Why weights cannot be put into a model: told in the plan, from the headers of the files."""

from pathlib import Path

from harness.axes.distillation._fit_denoiser import refuse_denoiser
from harness.axes.distillation._fit_lora import refuse_lora
from harness.axes.distillation._headers import denoiser_shapes, load_shapes
from harness.axes.distillation._student import Student
from harness.core.axis import Context


def refuse_weights(student: Student, path: Path | None, context: Context) -> str | None:
    """Return why the file cannot be used in this cell, naming both sides; ValueError for one that is unreadable.

    Of a file that is yet to be fetched (None) less can be told.
    """
    if student.timesteps and "flow" in context.model.tags:
        return f"the pipeline of the {context.model.title} takes no timesteps: it walks a flow"
    if path is None:
        return None
    theirs, ours = load_shapes(path), denoiser_shapes(context.model)
    if not theirs or not ours:
        return None
    reason = (refuse_lora if student.kind == "lora" else refuse_denoiser)(theirs, ours)
    return f"{path.name} does not fit the {context.model.title}: {reason}" if reason else None
