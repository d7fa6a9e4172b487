"""DeepCache: the inner levels of a UNet are computed once in a few steps (Ma et al. 2023, section 3.2)."""

import json
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import ApproximateReuse, BlockCounter
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.model import ModelInfo, TextToImage


class DeepCache(ApproximateReuse):
    """Between two whole passes only the outer `depth` levels run, on what the inner ones gave in the last whole one."""

    summary: ClassVar[str] = "inner levels of a UNet once in a few steps"
    needs: ClassVar = "a UNet (SD, SDXL)"
    conflicts: ClassVar = ApproximateReuse.conflicts | {"transformer"}
    examples: ClassVar = ("deepcache+interval=2",)

    interval: Annotated[int, Field(ge=2)] = 3
    """One denoiser call in this many is whole."""
    depth: Annotated[int, Field(ge=1)] = 1
    """Levels of the UNet that run in every call, counted from the outside."""

    def refuse(self, context: Context) -> str | None:
        levels = _levels(context.model)
        if levels is not None and self.depth >= levels:
            return f"depth {self.depth} leaves none of the {levels} levels of the {context.model.title} to skip"
        return super().refuse(context)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._hooks import hook_levels

        hooks = hook_levels(model, self.interval, self.depth)
        return BlockCounter("caching deepcache", hooks, "Take more steps.", "inner blocks")


def _levels(model: ModelInfo) -> int | None:
    if not model.folder:
        return None
    config = json.loads((Path(model.folder) / "unet" / "config.json").read_text(encoding="utf-8"))
    return len(config["block_out_channels"])
