"""The VAE decodes in overlapping tiles that are blended at their seams."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.memory._decoded import Decoded
from harness.axes.memory._tiles import LEAST, own_tile, set_tiles
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.model import Footprint, TextToImage


class VaeTiling(AxisValue):
    """The denoised latent is the same; pixels differ, since what a tile does not see cannot shape it."""

    summary: ClassVar[str] = "the VAE decodes in overlapping tiles, for large pictures"
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    tolerance: ClassVar = 0.4  # a toy's tiles are a few latents wide: mostly seam
    examples: ClassVar = ("vae-tiling+tile=16",)

    tile: Annotated[int, Field(ge=0, le=16384)] = 0
    """Side of a tile in pixels; 0: the VAE's own, often as large as the pictures it was trained on."""

    def refuse(self, context: Context) -> str | None:
        least = LEAST * (context.model.latent[1] if context.model.latent else 1)
        if self.tile % least:
            return f"tile={self.tile}: tiles of the {context.model.title} are multiples of {least} pixels"
        side = self.tile or own_tile(context.model)
        sizes = {name: size for value in context.values.values() for name, size in value.call_options().items()}
        if side is None or "width" not in sizes or max(sizes["width"], sizes["height"]) > side:
            return None
        size, smaller = f"{sizes['width']}x{sizes['height']}", max(1, side // 2 // least) * least
        return f"{size} is one tile of {side}x{side}: name a smaller one, such as tile={smaller}"

    def footprint(self, without: Footprint) -> Footprint:
        return without.model_copy(update={"activations": {**without.activations, "vae": 0.0}})  # small is not counted

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        set_tiles(model.vae, self.tile)
        return Decoded("memory vae-tiling", "tile", "Name a smaller tile, or take a larger resolution.")
