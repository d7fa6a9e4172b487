"""LCM-LoRA: a latent consistency model as a low-rank adapter, 2–8 steps without guidance (Luo et al. 2023)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from harness.axes.distillation._distilled import Distilled
from harness.axes.distillation._put import put_student
from harness.axes.distillation._student import Student
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.model import HubFile, ModelInfo, TextToImage

NAME = "lcm-lora"
SETTINGS = {"scheduler": "lcm", "guidance": "1"}


class LcmLora(Distilled):
    """The one that belongs to the model if it brings one, else the published one (latent-consistency on the hub)."""

    summary: ClassVar[str] = "consistency LoRA: 2–8 steps, no guidance"
    defaults: ClassVar = SETTINGS
    examples: ClassVar = ("lcm-lora+fuse=false",)

    def students(self) -> Mapping[str, Student]:
        repos = {"sd": "latent-consistency/lcm-lora-sdv1-5", "sdxl": "latent-consistency/lcm-lora-sdxl"}
        return {
            family: Student("lora", repo, steps=(2, 8), brings=SETTINGS, solver="consistency")
            for family, repo in repos.items()
        }

    def wants(self, model: ModelInfo | None) -> tuple[HubFile, ...]:
        return super().wants(model) if model and not self._own(model.loras) else ()  # a model may bring its own

    def refuse(self, context: Context) -> str | None:
        return None if self._own(context.model.loras) else super().refuse(context)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        student = self.student(model.family)
        assert student is not None
        own = self._own(frozenset(model.loras))
        return put_student(model, student, Path(model.loras[NAME]) if own else self.path(student), self.fuse)

    def _own(self, brought: frozenset[str]) -> bool:
        return not self.weights and NAME in brought
