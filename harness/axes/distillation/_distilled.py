"""What distilled weights of all kinds share: where they lie, whether they fit, how they are put in, how sampled."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.distillation._advice import cautions_about
from harness.axes.distillation._checks import refuse_weights
from harness.axes.distillation._files import compute_digest, find_weights, wanted_file
from harness.axes.distillation._put import put_student
from harness.axes.distillation._student import Student
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.model import HubFile, ModelInfo, TextToImage
from harness.core.outcome import Caution


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
        digest = compute_digest(student.repo, student.files) if student else ""
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
