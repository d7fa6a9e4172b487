"""DeepCache: a UNet's inner levels run once in a few steps (Ma et al. 2023, section 3.2)."""

import json
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import ApproximateReuse, SkippedBlocks
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.model import ModelInfo, TextToImage


class DeepCache(ApproximateReuse):
    """Between whole calls only the outer `depth` levels run, on the inner levels' last output."""

    summary: ClassVar[str] = "inner levels of a UNet run once in a few steps"
    needs: ClassVar = "a UNet (SD, SDXL)"
    conflicts: ClassVar = ApproximateReuse.conflicts | {"transformer"}
    examples: ClassVar = ("deepcache+interval=2",)

    interval: Annotated[int, Field(ge=2)] = 3
    """One denoiser call in this many is whole."""
    depth: Annotated[int, Field(ge=1)] = 1
    """Outer levels of the UNet that run in every call."""

    def refuse(self, context: Context) -> str | None:
        levels = _count_levels(context.model)
        if levels is not None and self.depth >= levels:
            title = context.model.title
            return f"depth {self.depth} leaves none of the {levels} levels of the {title} to skip"
        return super().refuse(context)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._hooks import hook_levels

        hooks = hook_levels(model, self.interval, self.depth)
        return SkippedBlocks(self.where(), hooks, "Take more steps.", "inner blocks")


def _count_levels(model: ModelInfo) -> int | None:
    if not model.folder:
        return None
    path = Path(model.folder) / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    return len(config["block_out_channels"])
