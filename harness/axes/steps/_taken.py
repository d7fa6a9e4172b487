"""The denoiser calls really made, counted: some solvers make more than their steps, cascades and caches fewer."""

from harness.core.effect import CallCounter
from harness.core.model import TextToImage
from harness.core.outcome import Shown


class Taken(CallCounter):
    """Counts the calls of the denoiser from outside."""

    def __init__(self, asked: int) -> None:
        super().__init__()
        self.asked = asked

    def report(self, model: TextToImage, calls: int) -> Shown:
        made = self.counts.get("denoiser", 0) / calls
        same = "" if made == self.asked else f", not {self.asked}"
        return Shown(summary=f"{made:g} denoiser calls{same}", figures={"denoiser_calls": made, "steps": self.asked})
