"""The VAE decodes one image of a batch at a time."""

from typing import ClassVar

from harness.axes.memory._vae import DecodedPieces, drop_vae_activations
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.model import Footprint, TextToImage
from harness.core.recipe import RecipeContext, RecipeLines


class VaeSlicing(AxisValue):
    """Decoding needs the most memory at large sizes; in slices, it does not grow with the batch."""

    summary: ClassVar[str] = "the VAE decodes one image of a batch at a time"
    tags: ClassVar = frozenset({"divides-decoding"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    tolerance: ClassVar = 1e-5

    def refuse(self, context: Context) -> str | None:
        batch = context.values["batch"]
        if batch.call_options()["batch"] > 1 or "tries-batches" in batch.tags:
            return None
        return "a call with one image has nothing to slice: use batch 2 or more"

    def footprint(self, without: Footprint) -> Footprint:
        return drop_vae_activations(without)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        model.vae.enable_slicing()
        return DecodedPieces(self.where(), "slice", "Use batch 2 or more.")

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(build=("pipe.vae.enable_slicing()",))
