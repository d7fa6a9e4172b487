"""Warnings about distilled weights that are sampled in other ways than they were trained for."""

from collections.abc import Iterator

from harness.axes.distillation._student import Student
from harness.core.axis import Context
from harness.core.outcome import Caution

MOST_GUIDANCE = 2.0
"""What consistency-distilled weights still bear (Luo et al. 2023 advise 1 to 2)."""


def cautions_about(student: Student, context: Context) -> tuple[Caution, ...]:
    """Return warnings where steps, guidance, scheduler or size are not the student's."""
    return tuple(_cautions(student, context))


def _cautions(student: Student, context: Context) -> Iterator[Caution]:
    steps = int(context.values["steps"].call_options()["steps"])
    fewest, most = student.steps
    if not fewest <= steps <= most:
        span = str(most) if fewest == most else f"{fewest} to {most}"
        message = f"{steps} steps with weights that were trained for {span}"
        waste = "More steps cost time and do not help." if steps > most else "Fewer leave blur or noise."
        yield Caution(kind="distilled-steps", message=message, advice=waste)
    guidance = float(context.values["guidance"].call_options()["guidance"])
    if student.brings.get("guidance") == "1" and guidance > MOST_GUIDANCE:
        message = f"guidance {guidance:g} with weights that have guidance distilled into them: burnt colours"
        yield Caution(kind="guided-twice", message=message, advice="Use 1, which halves the work too.")
    if student.solver and student.solver not in context.values["scheduler"].tags:
        message = f"these weights were trained for the scheduler {student.brings.get('scheduler')}"
        yield Caution(kind="distilled-scheduler", message=message, advice="Leave the scheduler out: they bring it.")
    yield from _size_cautions(student, context)


def _size_cautions(student: Student, context: Context) -> Iterator[Caution]:
    resolution = context.values["resolution"]
    sizes = resolution.call_options()
    if not student.side or "cascade" in resolution.tags or max(sizes.values(), default=0) <= student.side:
        return
    own = f"{student.side}x{student.side}"
    message = f"{sizes['width']}x{sizes['height']} with weights that were trained for {own}"
    yield Caution(kind="distilled-size", message=message, advice=f"Use resolution {own}, and a baseline of that size.")
