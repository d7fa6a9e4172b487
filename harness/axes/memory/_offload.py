"""Base of values that keep weights in CPU memory and copy them to the GPU when needed."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

from harness.core.axis import AxisValue, Setup, Unavailable
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import Footprint, TextToImage
from harness.core.outcome import Figures, Shown
from harness.core.recipe import RecipeContext, RecipeLines
from harness.core.trace import region
from harness.core.units import format_bytes


class Fetch(NamedTuple):
    """A method of `owner` that moves weights to the device, and those weights."""

    owner: Any
    method: str
    weights: Callable[[], Iterator[Any]]

    def find_device(self) -> str:
        """Return torch's name of the device where the weights are now."""
        first = next(self.weights(), None)
        return "" if first is None else str(first.device.type)


class Offload(AxisValue):
    """The model is loaded into CPU memory, so that it may be larger than the GPU's.

    Hooks on the modules move the weights. Compiled code, packed weights and a cascade's second
    pipeline would use the same modules without those hooks.
    """

    needs: ClassVar = "a GPU"
    tags: ClassVar = frozenset({"offload"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch", "quantized", "compiled", "cascade"})
    stateful: ClassVar = True
    tolerance: ClassVar = 1e-3
    waits: ClassVar = "cpu"
    """Torch's name of the device where unused weights are."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.gpus:
            return None
        reason = "offloading saves GPU memory, and this machine has no GPU"
        return Unavailable(reason=reason, hint="use vae-tiling or vae-slicing")

    def footprint(self, without: Footprint) -> Footprint:
        """Count the largest part only, or nothing where smaller pieces are moved."""
        largest = max(without.weights, key=lambda role: without.weights[role], default="")
        whole_part = bool(largest) and self.resident == "part"
        weights = {largest: without.weights[largest]} if whole_part else {}
        update = {"weights": weights, "loading": sum(weights.values())}
        return without.model_copy(update=update)

    def load_options(self) -> dict[str, str]:
        return {"place": "cpu"}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        return MovedWeights(self.where(), self.offload(model), self.waits)

    def offload(self, model: TextToImage) -> list[Fetch]:
        """Hook the model's parts and return the methods that will move their weights."""
        raise NotImplementedError

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(place="cpu", build=self.recipe_offload())

    def recipe_offload(self) -> tuple[str, ...]:
        """Return what `offload` does, in a file without harness."""
        raise NotImplementedError


def list_networks(model: TextToImage) -> list[Any]:
    """Return the torch modules of a pipeline."""
    import torch

    parts = model.pipeline.components.values()
    return [part for part in parts if isinstance(part, torch.nn.Module)]


class MovedWeights(Effect):
    """Counts weights that were moved to the device during the timed calls, and their bytes."""

    def __init__(self, where: str, fetches: list[Fetch], waits: str = "cpu") -> None:
        self.where, self.waits, self.moves, self.moved_bytes = where, waits, 0, 0
        for fetch in fetches:
            setattr(fetch.owner, fetch.method, self._count(fetch))

    def start(self, model: TextToImage) -> None:
        self.moves = self.moved_bytes = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        if not self.moves:
            what = "no weights were moved: all are on the device already"
            raise NoEffect(what, self.where, "Leave this value out.")
        size = self.moved_bytes / calls
        figures: Figures = {"moves": self.moves / calls, "moved_bytes": size}
        summary = f"{format_bytes(size)} of weights moved to the device for each call"
        return Shown(summary=summary, figures=figures)

    def _count(self, fetch: Fetch) -> Callable[..., Any]:
        move = getattr(fetch.owner, fetch.method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            before = fetch.find_device()
            with region("weights to the device"):
                result = move(*args, **kwargs)
            if fetch.find_device() not in (before, self.waits):
                self.moves += 1
                self.moved_bytes += sum(weight.nbytes for weight in fetch.weights())
            return result

        return counted
