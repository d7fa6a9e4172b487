"""Approximate: start from the stored latent of the most similar other prompt (Nirvana, Agarwal et al. 2024)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import StoredStart, call_figures
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown

WHERE = "caching latents-nearest"


class LatentsNearest(StoredStart):
    """The donors are the first prompts of the cell's set; what they take to make is part of the cold start.

    A donor is always another prompt than the one asked: with its own latent a prompt would get its own image, and
    nothing would be measured of the approximation. Prompts without a donor near enough start from noise.
    """

    summary: ClassVar[str] = "approximate: prompts go on from the nearest other prompt's latent at step k"
    trajectory: ClassVar = "changed"
    conflicts: ClassVar = StoredStart.conflicts | {"cascade"}
    examples: ClassVar = ("latents-nearest+calls=1+threshold=-1",)

    calls: Annotated[int, Field(ge=1, le=1000)] = 5
    """Denoiser calls at the beginning that are the donor's: k."""
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """Least cosine of the text embeddings (pooled ones, where there are any) at which a prompt takes a donor."""
    donors: Annotated[int, Field(ge=1)] = 64
    """So many prompts of the set, the first, lend their latents."""

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = "pictures begin as those of other prompts, and prompts without a near one are as slow as ever"
        advice = "Multiply the gain by the share of your prompts that have a neighbour; the cell tells its own."
        return (Caution(kind="neighbours-only", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._donors import Donors, Neighbours, feed

        texts = {key[0]: prompt for key, prompt in zip(setup.call.keys, setup.call.prompts, strict=True)}
        donors = Donors(model, setup, self.calls, dict(list(texts.items())[: self.donors]))
        if not donors.serve(texts.values()):
            raise NoEffect("the cell has a single prompt, and no other to start from", WHERE, "Take more prompts.")
        model.hooks.append(feed)
        donors.prepare(model, setup.call)
        neighbours = Neighbours(donors, self.threshold)
        model.draw = neighbours.generate
        return Borrowed(neighbours, tuple(texts.values()))


class Borrowed(Effect):
    """Counts denoiser calls that were another prompt's, and tells how alike the prompts of the cell are."""

    def __init__(self, neighbours: Any, prompts: tuple[str, ...]) -> None:
        self.neighbours, self.prompts = neighbours, prompts

    def start(self, model: TextToImage) -> None:
        self.neighbours.start()

    def report(self, model: TextToImage, calls: int) -> Shown:
        survey = self.neighbours.survey(model, self.prompts)
        replayed, computed = self.neighbours.counts
        if replayed <= 0:
            raise NoEffect(f"all {computed} timed denoiser calls were made; {survey}", WHERE, self.neighbours.advice())
        summary = f"approximate: {survey}; {replayed} of {replayed + computed} timed denoiser calls are theirs"
        return Shown(summary=summary, figures=call_figures(computed, replayed, calls) | survey.figures())
