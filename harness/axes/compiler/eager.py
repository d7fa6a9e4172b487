"""PyTorch's own kernels, one operation at a time."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.recipe import RecipeContext, RecipeLines


class Eager(AxisValue):
    summary: ClassVar[str] = "no compilation"

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines()
