"""The model unchanged."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.recipe import RecipeContext, RecipeLines


class Undistilled(AxisValue):
    summary: ClassVar[str] = "the model unchanged"

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines()
