"""MagCache: blocks are skipped while the magnitude of what they add changes little (Ma et al. 2025)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.model import TextToImage


class MagCache(BlockCache):
    """The ratios of magnitudes from step to step belong to the model: they are measured on the cell's first prompt."""

    summary: ClassVar[str] = "skips all blocks while the size of what they add is steady"
    name: ClassVar = "magcache"
    fix: ClassVar = "Raise the threshold, or take more steps."
    examples: ClassVar = ("magcache+threshold=0.5",)

    threshold: Annotated[float, Field(gt=0, le=2)] = 0.06
    """Largest error, accumulated since the last computed step."""
    longest: Annotated[int, Field(ge=1)] = 3
    """Most steps skipped in a row."""
    first: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the steps at the beginning that is always computed."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import MagCacheConfig

        from harness.axes.caching._hooks import measure_ratios

        ratios = measure_ratios(model, setup.call)
        return MagCacheConfig(
            threshold=self.threshold,
            max_skip_steps=self.longest,
            retention_ratio=self.first,
            num_inference_steps=len(ratios),
            mag_ratios=ratios,
        )
