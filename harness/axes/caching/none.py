"""Nothing is reused."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.recipe import RecipeContext, RecipeLines


class Uncached(AxisValue):
    summary: ClassVar[str] = "nothing is reused"

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines()
