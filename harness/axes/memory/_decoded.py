"""In how many pieces a VAE decoded: counted, since it decides itself whether a picture is large enough."""

from typing import Any

from harness.core.effect import CallCounter
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Shown
from harness.core.trace import region


class Decoded(CallCounter):
    """Counts the calls of the VAE, and those of its decoder that they took: `piece` is what one of these was."""

    def __init__(self, where: str, piece: str, fix: str) -> None:
        super().__init__()
        self.where, self.piece, self.fix = where, piece, fix
        self.decodes = 0

    def start(self, model: TextToImage) -> None:
        super().start(model)
        self.decodes, decode = 0, model.vae.decode

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.decodes += 1
            with region(f"decode in {self.piece}s"):
                return decode(*args, **kwargs)

        model.vae.decode = counted

    def report(self, model: TextToImage, calls: int) -> Shown:
        pieces = self.counts.get("vae", 0)
        if pieces <= self.decodes:
            raise NoEffect(f"the VAE decoded in one {self.piece}", self.where, self.fix)
        each = pieces / self.decodes
        figures: dict[str, float | int | str] = {f"{self.piece}s": each}
        return Shown(summary=f"the VAE decoded in {each:g} {self.piece}s a call", figures=figures)
