"""Bases of values that load few-step weights, and warnings about untrained settings."""

from collections.abc import Iterator, Mapping
from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.distillation._apply import load_student
from harness.axes.distillation._recipe import write_student
from harness.axes.distillation._weights import (
    Student,
    digest_weights,
    find_missing_file,
    find_weights,
    refuse_weights,
)
from harness.core.axis import AxisValue, Context, Setup, Unavailable, Words
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import HubFile, ModelInfo, TextToImage
from harness.core.outcome import Caution
from harness.core.recipe import NoRecipe, RecipeContext, RecipeLines

MOST_GUIDANCE = 2.0
"""Luo et al. 2023 advise 1 to 2 for consistency-distilled weights."""


class Distilled(AxisValue):
    """`weights` (a file, a folder or a hub id; with `weight_name`) replace the published ones."""

    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"distilled"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-lora"})

    weights: str = ""
    weight_name: str = ""
    scale: Annotated[float | None, Field(gt=0, le=10)] = None
    """Scale of a LoRA; default: the published one."""
    fuse: bool = True

    def students(self) -> Mapping[str, Student]:
        """Return the published weights for these options, by model family."""
        raise NotImplementedError

    def student(self, family: str) -> Student | None:
        """Return the student for a family; the user's files replace the published ones."""
        found = self.students().get(family)
        if self.weights:
            found = (found or Student("lora", ""))._replace(repo=self.weights)
            found = found._replace(files=(self.weight_name,)) if self.weight_name else found
        return found._replace(scale=self.scale) if found and self.scale else found

    def brings(self, model: ModelInfo) -> Mapping[str, str]:
        student = self.student(model.family)
        return student.brings if student else {}

    def fingerprint(self, model: ModelInfo) -> str:
        student = self.student(model.family)
        digest = digest_weights(student.repo, student.files) if student else ""
        return digest or " ".join(map(str, self.wants(model)))

    def wants(self, model: ModelInfo | None) -> tuple[HubFile, ...]:
        students = [self.student(model.family)] if model else list(self.students().values())
        files = [find_missing_file(student.repo, student.files) for student in students if student]
        return tuple(file for file in files if file) if all(files) else ()

    def refuse(self, context: Context) -> str | None:
        student, title = self.student(context.model.family), context.model.title
        if student is None:
            return f"no such weights are published for the {title}: name a file with weights"
        if student.kind == "denoiser" and (self.scale is not None or not self.fuse):
            return "these weights are a whole denoiser, not a LoRA: leave out scale and fuse"
        try:
            missing = self.wants(context.model)
            path = None if missing else find_weights(student.repo, student.files)
            return refuse_weights(student, path, context)
        except ValueError as error:
            return str(error)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        student = self.student(context.model.family)
        return tuple(_yield_cautions(student, context)) if student else ()

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        student = self.student(model.family)
        assert student is not None  # else the plan refused
        path = find_weights(student.repo, student.files)
        return load_student(model, student, path, self.fuse)

    def recipe(self, context: RecipeContext) -> RecipeLines | NoRecipe:
        student = self.student(context.model.family)
        if student is None:
            return NoRecipe(reason=f"no such weights are published for the {context.model.title}")
        path = find_weights(student.repo, student.files)
        return write_student(student, path, self.fuse, context)


class UserWeights(Distilled):
    """`timesteps` such as `999-749-499-249` are used in calls with as many steps."""

    timesteps: Words = ""

    def kind(self) -> Student:
        """Return a student of this kind of weights, without a repository."""
        raise NotImplementedError

    def students(self) -> Mapping[str, Student]:
        return {}

    def student(self, family: str) -> Student | None:
        if not self.weights:
            return None
        found = self.kind()._replace(repo=self.weights, scale=self.scale or 1.0)
        files = (self.weight_name,) if self.weight_name else found.files
        words = self.timesteps.split("-")
        return found._replace(files=files, timesteps=tuple(int(w) for w in words if w.isdigit()))

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if self.weights:
            return None
        return Unavailable(reason="needs the option weights", hint="a file or a hub id")

    def refuse(self, context: Context) -> str | None:
        if not self.weights:
            return None  # `unavailable` reports it
        for word in filter(None, self.timesteps.split("-")):
            if not (word.isdigit() and int(word) < 1000):
                return f"timesteps are numbers from 0 to 999, not {word}"
        return super().refuse(context)


def _yield_cautions(student: Student, context: Context) -> Iterator[Caution]:
    """Yield warnings where steps, guidance, scheduler or size differ from the training."""
    steps, (fewest, most) = context.steps, student.steps
    if not fewest <= steps <= most:
        trained = str(most) if fewest == most else f"{fewest} to {most}"
        message = f"{steps} steps with weights that were trained for {trained}"
        advice = (
            "More steps take time without gain." if steps > most else "Fewer leave blur or noise."
        )
        yield Caution(kind="distilled-steps", message=message, advice=advice)
    guidance = float(context.values["guidance"].call_options()["guidance"])
    if student.brings.get("guidance") == "1" and guidance > MOST_GUIDANCE:
        message = f"guidance {guidance:g} with guidance-distilled weights burns the colours"
        yield Caution(
            kind="guided-twice", message=message, advice="Use 1, which also halves the work."
        )
    if student.solver and student.solver not in context.values["scheduler"].tags:
        message = f"these weights were trained for the scheduler {student.brings.get('scheduler')}"
        advice = "Leave the scheduler out: the weights set it."
        yield Caution(kind="distilled-scheduler", message=message, advice=advice)
    resolution = context.values["resolution"]
    size = resolution.call_options()
    too_large = student.side and max(size.values(), default=0) > student.side
    if too_large and "cascade" not in resolution.tags:
        trained = f"{student.side}x{student.side}"
        message = f"{size['width']}x{size['height']} with weights that were trained for {trained}"
        advice = f"Use resolution {trained}, and a baseline of that size."
        yield Caution(kind="distilled-size", message=message, advice=advice)
