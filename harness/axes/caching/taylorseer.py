"""TaylorSeer: attention outputs of a few steps are extrapolated (Liu et al. 2025)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Context, Setup
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext


class TaylorSeer(BlockCache):
    summary: ClassVar[str] = "extrapolates attention from earlier steps"
    unit: ClassVar = "modules"
    fix: ClassVar = "Lower first, or take more steps."
    examples: ClassVar = ("taylorseer+order=2", "taylorseer+lite")

    interval: Annotated[int, Field(ge=2)] = 5
    """One step in this many is computed."""
    first: Annotated[int, Field(ge=1)] = 3
    """Number of first steps that are computed."""
    order: Annotated[int, Field(ge=0, le=4)] = 1
    """Order of the Taylor expansion; 0 repeats the last output."""
    lite: bool = False
    """Extrapolate the denoiser's output only: less memory, further from the original."""

    def refuse(self, context: Context) -> str | None:
        if context.steps <= self.first:
            return (
                f"the first {self.first} steps are computed, but the cell has {context.steps}: "
                "lower first, or use more steps"
            )
        return super().refuse(context)

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import TaylorSeerCacheConfig

        return TaylorSeerCacheConfig(
            cache_interval=self.interval,
            disable_cache_before_step=self.first,
            max_order=self.order,
            taylor_factors_dtype=model.denoiser.dtype,
            use_lite_mode=self.lite,
        )

    def recipe_config(self, context: RecipeContext) -> tuple[str, dict[str, str]]:
        return "TaylorSeerCacheConfig", {
            "cache_interval": str(self.interval),
            "disable_cache_before_step": str(self.first),
            "max_order": str(self.order),
            "taylor_factors_dtype": f"{context.denoiser}.dtype",
            "use_lite_mode": str(self.lite),
        }
