"""FasterCache: later steps extrapolate attention outputs of two earlier ones (Lv et al. 2024)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.model import Arguments, Call, TextToImage
from harness.core.recipe import RecipeContext, RecipeLines, read_source

NOISE = 1000
"""The timestep of pure noise."""


class FasterCache(BlockCache):
    """Guidance-distilled models such as FLUX use only its attention part."""

    summary: ClassVar[str] = "extrapolates attention in later steps"
    unit: ClassVar = "attentions"
    fix: ClassVar = "Raise after, or take more steps."
    examples: ClassVar = ("faster-cache+after=900",)

    interval: Annotated[int, Field(ge=2)] = 2
    """Attention is computed once in this many steps …"""
    after: Annotated[int, Field(ge=1, le=1001)] = 681
    """… below this timestep (1000 is noise, 0 the image)."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Weight of the change between the last two outputs."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import FasterCacheConfig

        clock = TimestepClock(model.pipeline)
        model.hooks.append(clock.restart)
        return FasterCacheConfig(
            spatial_attention_block_skip_range=self.interval,
            spatial_attention_timestep_skip_range=(-1, self.after),
            attention_weight_callback=lambda _: self.weight,
            current_timestep_callback=clock.read,
            is_guidance_distilled=True,
        )

    def recipe(self, context: RecipeContext) -> RecipeLines:
        lines = super().recipe(context)
        build = ("clock = TimestepClock(pipe)", "HOOKS.append(clock.restart)", *lines.build)
        definitions = read_source(__name__, "NOISE", "TimestepClock")
        return lines.model_copy(update={"definitions": definitions, "build": build})

    def recipe_config(self, context: RecipeContext) -> tuple[str, dict[str, str]]:
        return "FasterCacheConfig", {
            "spatial_attention_block_skip_range": str(self.interval),
            "spatial_attention_timestep_skip_range": repr((-1, self.after)),
            "attention_weight_callback": f"lambda _: {self.weight!r}",
            "current_timestep_callback": "clock.read",
            "is_guidance_distilled": "True",
        }


class TimestepClock:
    """Returns the timestep, but pure noise in the first step, which diffusers must not skip."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline, self.first = pipeline, None

    def restart(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        self.first = None
        return arguments

    def read(self) -> Any:
        timestep = self.pipeline.current_timestep
        self.first = timestep if self.first is None else self.first
        return NOISE + 1 if timestep == self.first else timestep
