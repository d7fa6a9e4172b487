"""Bases of values that load few-step weights."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, Field

from harness.axes.distillation._apply import put_student
from harness.axes.distillation._weights import (
    Student,
    digest_of,
    find_weights,
    refuse_weights,
    wanted_file,
)
from harness.core.axis import AxisValue, Context, Setup, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import ModelInfo, TextToImage
from harness.core.outcome import Caution
from harness.core.published import HubFile


class Distilled(AxisValue):
    """`weights` (a file, a folder or a hub id, with `weight_name` in it) take the place of the published ones."""

    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"distilled"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-lora"})

    weights: str = ""
    weight_name: str = ""
    scale: Annotated[float | None, Field(gt=0, le=10)] = None
    """Of a LoRA; the published one if left out."""
    fuse: bool = True

    def students(self) -> Mapping[str, Student]:
        """Return the published weights by model family, of these options."""
        raise NotImplementedError

    def student(self, family: str) -> Student | None:
        """Return the student for a family, with the user's own files in place of the published ones."""
        found = self.students().get(family)
        if self.weights:
            found = (found or Student("lora", ""))._replace(repo=self.weights)
            found = found._replace(files=(self.weight_name,)) if self.weight_name else found
        return found._replace(scale=self.scale) if found and self.scale else found

    def path(self, student: Student) -> Path:
        """Return where the weights lie; MissingWeightsError where they are not."""
        return find_weights(student.repo, student.files)

    def brings(self, model: ModelInfo) -> Mapping[str, str]:
        student = self.student(model.family)
        return student.brings if student else {}

    def fingerprint(self, model: ModelInfo) -> str:
        student = self.student(model.family)
        digest = digest_of(student.repo, student.files) if student else ""
        return digest or " ".join(map(str, self.wants(model)))

    def wants(self, model: ModelInfo | None) -> tuple[HubFile, ...]:
        students = [self.student(model.family)] if model else list(self.students().values())
        files = [wanted_file(student.repo, student.files) for student in students if student]
        return tuple(file for file in files if file) if all(files) else ()

    def refuse(self, context: Context) -> str | None:
        student = self.student(context.model.family)
        if student is None:
            return f"nobody published such weights for the {context.model.title}: name a file with weights"
        if student.kind == "denoiser" and (self.scale is not None or not self.fuse):
            return "these weights are a whole denoiser, not a LoRA: leave out scale and fuse"
        try:
            return refuse_weights(student, None if self.wants(context.model) else self.path(student), context)
        except ValueError as error:
            return str(error)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        student = self.student(context.model.family)
        return cautions_about(student, context) if student else ()

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        student = self.student(model.family)
        assert student is not None  # else the plan refused
        return put_student(model, student, self.path(student), self.fuse)


Timesteps = Annotated[
    str, BeforeValidator(lambda given: "-".join(str(given).replace(",", " ").replace("-", " ").split()))
]


class Own(Distilled):
    """`timesteps` such as `999-749-499-249` are those of a call with as many steps."""

    timesteps: Timesteps = ""

    def kind(self) -> Student:
        """Return a student of this kind of weights, without a place."""
        raise NotImplementedError

    def students(self) -> Mapping[str, Student]:
        return {}

    def student(self, family: str) -> Student | None:
        if not self.weights:
            return None
        files = (self.weight_name,) if self.weight_name else self.kind().files
        steps = tuple(int(step) for step in self.timesteps.split("-") if step.isdigit())
        return self.kind()._replace(repo=self.weights, files=files, timesteps=steps, scale=self.scale or 1.0)

    def unavailable(self, machine: Machine) -> Unavailable | None:
        return None if self.weights else Unavailable(reason="needs the option weights", hint="a file or a hub id")

    def refuse(self, context: Context) -> str | None:
        if not self.weights:
            return None  # `unavailable` says so
        wrong = [word for word in self.timesteps.split("-") if word and not (word.isdigit() and int(word) < 1000)]
        return f"timesteps are numbers from 0 to 999, not {wrong[0]}" if wrong else super().refuse(context)


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
