"""Pyramid attention broadcast: the next steps reuse attention outputs (Zhao et al. 2024)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext


class PyramidAttention(BlockCache):
    summary: ClassVar[str] = "reuses attention outputs in several steps"
    unit: ClassVar = "attentions"
    fix: ClassVar = "Widen the timesteps between after and until, or take more steps."
    examples: ClassVar = ("pyramid-attention+interval=3+until=0",)

    interval: Annotated[int, Field(ge=2)] = 2
    """Attention is computed once in this many steps …"""
    after: Annotated[int, Field(ge=1, le=1001)] = 800
    """… below this timestep (1000 is noise)"""
    until: Annotated[int, Field(ge=-1, le=999)] = 100
    """… and above this one (0 is the image)."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import PyramidAttentionBroadcastConfig

        return PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=self.interval,
            spatial_attention_timestep_skip_range=(self.until, self.after),
            current_timestep_callback=lambda: model.pipeline.current_timestep,
        )

    def recipe_config(self, context: RecipeContext) -> tuple[str, dict[str, str]]:
        return "PyramidAttentionBroadcastConfig", {
            "spatial_attention_block_skip_range": str(self.interval),
            "spatial_attention_timestep_skip_range": repr((self.until, self.after)),
            "current_timestep_callback": "lambda: pipe.current_timestep",
        }
