"""FasterCache: attention outputs of two earlier steps are extrapolated, later in the image (Lv et al. 2024)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import BlockCache
from harness.core.axis import Setup
from harness.core.model import Arguments, Call, TextToImage

NOISE = 1000


class FasterCache(BlockCache):
    """On models distilled to need no second pass for guidance, as FLUX, only its attention part has work to do."""

    summary: ClassVar[str] = "extrapolates attention in the later steps"
    name: ClassVar = "faster-cache"
    unit: ClassVar = "attentions"
    fix: ClassVar = "Raise after, or take more steps."
    examples: ClassVar = ("faster-cache+after=900",)

    interval: Annotated[int, Field(ge=2)] = 2
    """Attention is computed once in this many steps …"""
    after: Annotated[int, Field(ge=1, le=1001)] = 681
    """… below this timestep (1000 is noise, 0 the image)."""
    weight: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How far the change of the last two outputs is carried on."""

    def configure(self, model: TextToImage, setup: Setup) -> Any:
        from diffusers import FasterCacheConfig

        clock = Clock(model)
        model.hooks.append(clock.restart)
        return FasterCacheConfig(
            spatial_attention_block_skip_range=self.interval,
            spatial_attention_timestep_skip_range=(-1, self.after),
            attention_weight_callback=lambda _: self.weight,
            current_timestep_callback=clock.now,
            is_guidance_distilled=True,
        )


class Clock:
    """Tells the timestep, but NOISE at the first one of a pass: diffusers would skip there with nothing remembered."""

    def __init__(self, model: TextToImage) -> None:
        self.model, self.first = model, None

    def restart(self, model: TextToImage, call: Call, arguments: Arguments) -> Arguments:
        self.first = None
        return arguments

    def now(self) -> Any:
        timestep = self.model.pipeline.current_timestep
        self.first = timestep if self.first is None else self.first
        return NOISE + 1 if timestep == self.first else timestep
