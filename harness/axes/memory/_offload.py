"""Base of values that keep weights in CPU memory and copy them to the GPU when needed."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar, NamedTuple

from harness.core.axis import AxisValue, Setup, Unavailable
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.footprint import Footprint
from harness.core.machine import Machine
from harness.core.model import TextToImage
from harness.core.outcome import Shown
from harness.core.region import region
from harness.core.units import format_bytes


class Fetch(NamedTuple):
    """A method of `owner` that moves weights when they are needed, and how to find those weights."""

    owner: Any
    method: str
    weights: Callable[[], Iterator[Any]]


class Moves(Effect):
    """Counts weights that came to the device during the timed calls, and their bytes."""

    def __init__(self, where: str, fetches: list[Fetch], waits: str = "cpu") -> None:
        """`waits` is torch's name of where the weights lie while they are not needed."""
        self.where, self.waits, self.moves, self.moved_bytes = where, waits, 0, 0
        for fetch in fetches:
            setattr(fetch.owner, fetch.method, self._counting(fetch))

    def start(self, model: TextToImage) -> None:
        self.moves = self.moved_bytes = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        if not self.moves:
            raise NoEffect("no weights were moved: they are where they are needed", self.where, "Leave it out.")
        size = self.moved_bytes / calls
        figures: dict[str, float | int | str] = {"moves": self.moves / calls, "moved_bytes": size}
        return Shown(summary=f"{format_bytes(size)} of weights came to the device for each call", figures=figures)

    def _counting(self, fetch: Fetch) -> Callable[..., Any]:
        bring = getattr(fetch.owner, fetch.method)

        def counted(*args: Any, **kwargs: Any) -> Any:
            before = _place(fetch)
            with region("weights to the device"):
                result = bring(*args, **kwargs)
            if _place(fetch) not in (before, self.waits):
                self.moves += 1
                self.moved_bytes += sum(weight.nbytes for weight in fetch.weights())
            return result

        return counted


def _place(fetch: Fetch) -> str:
    """Torch's name of the device where the weights are."""
    first = next(fetch.weights(), None)
    return "" if first is None else str(first.device.type)


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
        held = {largest: without.weights[largest]} if largest and self.resident == "part" else {}
        return without.model_copy(update={"weights": held, "loading": sum(held.values())})

    def load_options(self) -> dict[str, str]:
        return {"place": "cpu"}

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        name = type(self).__module__.rpartition(".")[2].replace("_", "-")
        return Moves(f"memory {name}", self.offload(model), self.waits)

    def offload(self, model: TextToImage) -> list[Fetch]:
        """Hook the model's parts and return where their weights will be fetched."""
        raise NotImplementedError
