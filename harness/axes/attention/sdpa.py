"""PyTorch's scaled_dot_product_attention with a kernel of its choice, diffusers' default."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.recipe import RecipeContext, RecipeLines


class Sdpa(AxisValue):
    summary: ClassVar[str] = "PyTorch picks the kernel"

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines()
