"""What an applied value did: asked after the timed calls, because only then is it known."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.core.outcome import Figures, Shown

if TYPE_CHECKING:
    from harness.core.model import TextToImage


class Effect:
    """Watches one applied value. `start` is called just before the timed calls, `report` just after
    them.

    `batch` is how many images a timed call makes, where that was found out while the value was
    applied.
    """

    batch: int | None = None

    def start(self, model: "TextToImage") -> None:
        """Begin to count: every value is applied, compilation and warm-up are over."""

    def report(self, model: "TextToImage", calls: int) -> Shown:
        """Return what the value did in `calls` whole-pipeline calls; NoEffect if it did nothing.

        Figures are per whole-pipeline call unless their name says otherwise.
        """
        raise NotImplementedError


class FixedEffect(Effect):
    """An effect that was complete, and checked, when the value was applied."""

    def __init__(self, summary: str, figures: Figures | None = None) -> None:
        self._shown = Shown(summary=summary, figures=figures or {})

    def report(self, model: "TextToImage", calls: int) -> Shown:
        return self._shown


class CallCounter(Effect):
    """Counts the calls of each part of the model, from outside it, so that compiled code stays as
    it is.

    A subclass says what `counts` (by role, over all timed calls) means.
    """

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def start(self, model: "TextToImage") -> None:
        self.counts = dict.fromkeys(model.parts(), 0)
        for role, part in model.parts().items():
            part.register_forward_pre_hook(self._counting(role))

    def _counting(self, role: str) -> Callable[..., None]:
        def count(*_: object) -> None:
            self.counts[role] += 1

        return count
