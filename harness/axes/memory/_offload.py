"""What values share that keep weights in the CPU's memory and bring them to the GPU when they are needed."""

from typing import ClassVar

from harness.axes.memory._moves import Fetch, Moves
from harness.core.axis import AxisValue, Setup, Unavailable
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import Footprint, TextToImage


class Offload(AxisValue):
    """Loaded into the CPU's memory, so that a model larger than the GPU's never has to fit there as a whole.

    The hooks sit on the modules and move their weights: code compiled from them, packed weights and a cascade's second
    pipeline around the same parts know nothing of that.
    """

    needs: ClassVar = "a GPU"
    tags: ClassVar = frozenset({"offload"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch", "quantized", "compiled", "cascade"})
    stateful: ClassVar = True
    tolerance: ClassVar = 1e-3
    waits: ClassVar = "cpu"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus:
            return None
        return Unavailable(reason="there is no GPU whose memory it could spare", hint="use vae-tiling or vae-slicing")

    def footprint(self, without: Footprint) -> Footprint:
        """The largest part's weights are there at least once, or next to nothing where smaller pieces come."""
        largest = max(without.weights, key=lambda role: without.weights[role], default="")
        kept = {largest: without.weights[largest]} if largest and self.resident == "part" else {}
        return without.model_copy(update={"weights": kept, "loading": sum(kept.values())})

    def load_options(self) -> dict[str, str]:
        return {"place": "cpu"}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        name = type(self).__module__.rpartition(".")[2].replace("_", "-")
        return Moves(f"memory {name}", self.offload(model), self.waits)

    def offload(self, model: TextToImage) -> list[Fetch]:
        """Hook the model's parts and return where their weights will be fetched."""
        raise NotImplementedError
