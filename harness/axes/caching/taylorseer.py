"""TaylorSeer: attention outputs of a few steps are extrapolated to the next ones (Liu et al. 2025)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Context, Setup
from harness.core.model import TextToImage


class TaylorSeer(BlockCache):
    summary: ClassVar[str] = "extrapolates attention from earlier steps"
    name: ClassVar = "taylorseer"
    unit: ClassVar = "modules"
    fix: ClassVar = "Lower first, or take more steps."
    examples: ClassVar = ("taylorseer+order=2", "taylorseer+lite")

    interval: Annotated[int, Field(ge=2)] = 5
    """One step in this many is computed."""
    first: Annotated[int, Field(ge=1)] = 3
    """So many steps at the beginning are computed."""
    order: Annotated[int, Field(ge=0, le=4)] = 1
    """Order of the Taylor expansion; 0 repeats the last output."""
    lite: bool = False
    """Extrapolate only the denoiser's output and skip whole blocks: less memory, less like the original."""

    def refuse(self, context: Context) -> str | None:
        steps = int(context.values["steps"].call_options()["steps"])
        if steps <= self.first:
            return f"computes its first {self.first} steps, and the cell takes {steps}: lower first or take more steps"
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
