"""DeepCache: a UNet's inner levels run once in a few steps (Ma et al. 2023, section 3.2)."""

import json
from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import ApproximateReuse, SkippedBlocks
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.model import ModelInfo, TextToImage
from harness.core.recipe import RecipeContext, RecipeLines, read_source


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

        count, hooks = hook_levels(model.denoiser, self.interval, self.depth)
        model.hooks.append(count.restart)
        return SkippedBlocks(self.where(), hooks, "Take more steps.", "inner blocks")

    def recipe(self, context: RecipeContext) -> RecipeLines:
        names = ("CallCount", "InnerBlock", "DownBlock", "FirstDownBlock", "LastUpBlock")
        definitions = ("DEEP_CACHE", "_register", *names, "hook_levels")
        hooked = f"hook_levels({context.denoiser}, {self.interval}, {self.depth})"
        return RecipeLines(
            imports=("from diffusers.hooks import HookRegistry, ModelHook",),
            definitions=read_source("harness.axes.caching._hooks", *definitions),
            build=(f"count, _ = {hooked}", "HOOKS.append(count.restart)"),
        )


def _count_levels(model: ModelInfo) -> int | None:
    if not model.folder:
        return None
    path = Path(model.folder) / "unet" / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    return len(config["block_out_channels"])
