"""First-block cache: the others are skipped while it changes little (ParaAttention)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext


class FirstBlock(BlockCache):
    summary: ClassVar[str] = "skips all blocks while the first one changes little"
    fix: ClassVar = "Raise the threshold, or take more steps."
    examples: ClassVar = ("first-block+threshold=2",)
    may_idle: ClassVar = (
        "untrained blocks change in every timestep by more than the published threshold"
    )

    threshold: Annotated[float, Field(gt=0, le=2)] = 0.1
    """Largest relative change of the first block's residual at which the others are skipped."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import FirstBlockCacheConfig

        return FirstBlockCacheConfig(threshold=self.threshold)

    def recipe_config(self, context: RecipeContext) -> tuple[str, dict[str, str]]:
        return "FirstBlockCacheConfig", {"threshold": repr(self.threshold)}
