"""All weights on the device, images decoded whole."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.recipe import RecipeContext, RecipeLines


class Plain(AxisValue):
    summary: ClassVar[str] = "all weights on the device, images decoded whole"

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines()
