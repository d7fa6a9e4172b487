"""What offloading moved: counted at the hooks that fetch weights, by where the weights really were before and after."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Shown
from harness.core.trace import region
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
