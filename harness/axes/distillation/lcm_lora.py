"""LCM-LoRA: a latent consistency model as a LoRA, 2–8 steps without guidance (Luo et al. 2023)."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from harness.axes.distillation._distilled import Distilled, load_student
from harness.axes.distillation._recipe import write_lora
from harness.axes.distillation._weights import Student
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.model import HubFile, ModelInfo, TextToImage
from harness.core.recipe import NoRecipe, RecipeContext, RecipeLines

NAME = "lcm-lora"
SETTINGS = {"scheduler": "lcm", "guidance": "1"}


class LcmLora(Distilled):
    """The model's LoRA if it includes one, else the published one (latent-consistency)."""

    summary: ClassVar[str] = "consistency LoRA: 2–8 steps, no guidance"
    defaults: ClassVar = SETTINGS
    examples: ClassVar = ("lcm-lora+fuse=false",)

    def students(self) -> Mapping[str, Student]:
        lora = Student("lora", "", steps=(2, 8), brings=SETTINGS, solver="consistency")
        return {
            "sd": lora._replace(repo="latent-consistency/lcm-lora-sdv1-5"),
            "sdxl": lora._replace(repo="latent-consistency/lcm-lora-sdxl"),
        }

    def wants(self, model: ModelInfo | None) -> tuple[HubFile, ...]:
        # Without a model nothing is missing: the model may include one.
        return super().wants(model) if model and not self._is_included(model.loras) else ()

    def fingerprint(self, model: ModelInfo) -> str:
        return "" if self._is_included(model.loras) else super().fingerprint(model)

    def refuse(self, context: Context) -> str | None:
        return None if self._is_included(context.model.loras) else super().refuse(context)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        student = self.student(model.family)
        if student is None or not self._is_included(frozenset(model.loras)):
            return super().apply(model, setup)
        return load_student(model, student, Path(model.loras[NAME]), self.fuse)

    def recipe(self, context: RecipeContext) -> RecipeLines | NoRecipe:
        student = self.student(context.model.family)
        if student is None or not self._is_included(context.model.loras):
            return super().recipe(context)
        scale = student.scale
        return RecipeLines(
            build=write_lora(f"str({context.loras[NAME]})", "None", scale, self.fuse)
        )

    def _is_included(self, loras: frozenset[str]) -> bool:
        return not self.weights and NAME in loras
