"""The VAE decodes overlapping tiles and blends their seams."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.memory._vae import (
    QUARTERS,
    DecodedPieces,
    drop_vae_activations,
    read_tile_side,
    set_tiles,
)
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.model import Footprint, TextToImage
from harness.core.recipe import RecipeContext, RecipeLines, read_source


class VaeTiling(AxisValue):
    """The latent is unchanged; pixels differ, since a tile depends on nothing outside it."""

    summary: ClassVar[str] = "the VAE decodes in overlapping tiles, for large images"
    tags: ClassVar = frozenset({"divides-decoding"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    tolerance: ClassVar = 0.4  # a tiny model's tiles are a few latents wide: mostly seam
    examples: ClassVar = ("vae-tiling+tile=16",)

    tile: Annotated[int, Field(ge=0, le=16384)] = 0
    """Side of a tile in pixels; 0: the VAE's default, often the size of its training images."""

    def refuse(self, context: Context) -> str | None:
        least = QUARTERS * (context.model.latent[1] if context.model.latent else 1)
        if self.tile % least:
            return (
                f"tile={self.tile}: tiles of the {context.model.title} must be multiples of "
                f"{least} pixels"
            )
        side = self.tile or read_tile_side(context.model)
        options = [value.call_options().items() for value in context.values.values()]
        sizes = {name: size for items in options for name, size in items}
        if side is None or "width" not in sizes or max(sizes["width"], sizes["height"]) > side:
            return None
        size, smaller = f"{sizes['width']}x{sizes['height']}", max(1, side // 2 // least) * least
        return f"{size} is one tile of {side}x{side}: set a smaller one, such as tile={smaller}"

    def footprint(self, without: Footprint) -> Footprint:
        return drop_vae_activations(without)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        set_tiles(model.vae, self.tile)
        fix = "Set a smaller tile, or a larger resolution."
        return DecodedPieces(self.where(), "tile", fix)

    def recipe(self, context: RecipeContext) -> RecipeLines:
        if not self.tile:
            return RecipeLines(build=("pipe.vae.enable_tiling()",))
        definitions = read_source("harness.axes.memory._vae", "QUARTERS", "set_tiles")
        return RecipeLines(definitions=definitions, build=(f"set_tiles(pipe.vae, {self.tile})",))
