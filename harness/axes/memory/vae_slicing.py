"""The VAE decodes one image of a batch at a time."""

from typing import ClassVar

from harness.axes.memory._decoded import Decoded
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.model import Footprint, TextToImage


class VaeSlicing(AxisValue):
    """Decoding is the moment of most memory at large sizes; in slices it no longer grows with the batch."""

    summary: ClassVar[str] = "the VAE decodes one image of a batch at a time"
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    tolerance: ClassVar = 1e-5

    def refuse(self, context: Context) -> str | None:
        batch = context.values["batch"]
        if batch.call_options()["batch"] > 1 or "tries-batches" in batch.tags:
            return None
        return "it decodes one image at a time, and the cell makes one a call: take batch 2 or more"

    def footprint(self, without: Footprint) -> Footprint:
        return without.model_copy(update={"activations": {**without.activations, "vae": 0.0}})  # small is not counted

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        model.vae.enable_slicing()
        return Decoded("memory vae-slicing", "slice", "Take a batch of 2 or more.")
