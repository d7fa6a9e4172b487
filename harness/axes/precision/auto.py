"""FP16 if the hardware supports it, else FP32; the plan shows which."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.recipe import NoRecipe, RecipeContext


class Auto(AxisValue):
    summary: ClassVar[str] = "fp16 if the hardware supports it, else fp32"

    def recipe(self, context: RecipeContext) -> NoRecipe:
        return NoRecipe(reason="the plan replaces auto by fp16 or fp32: no cell has it")
