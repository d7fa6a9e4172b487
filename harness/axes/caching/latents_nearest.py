"""Start from the stored latent of the most similar other prompt (Nirvana, Agarwal et al. 2024)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.caching._reuse import NO_STORE, STORE_HINT, StoredStart, count_calls
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown
from harness.core.recipe import NoRecipe, RecipeContext

WHERE = "caching latents-nearest"


class LatentsNearest(StoredStart):
    """Donors are the first prompts of the cell's set; the cold start includes their computation.

    A donor is always another prompt: with its own latent a prompt would get its exact image,
    without the approximation. Prompts without a similar donor start from noise.
    """

    summary: ClassVar[str] = (
        "approximate: prompts continue from the most similar prompt's latent at step k"
    )
    trajectory: ClassVar = "changed"
    conflicts: ClassVar = StoredStart.conflicts | {"cascade"}
    examples: ClassVar = ("latents-nearest+calls=1+threshold=-1",)

    calls: Annotated[int, Field(ge=1, le=1000)] = 5
    """Number of first denoiser calls taken from the donor."""
    threshold: Annotated[float, Field(ge=-1, le=1)] = 0.5
    """Least cosine of (pooled) text embeddings at which a prompt uses a donor."""
    donors: Annotated[int, Field(ge=1)] = 64
    """Number of donors: the first prompts of the set."""

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = (
            "images start as those of other prompts; prompts without a similar one gain nothing"
        )
        advice = (
            "Multiply the gain by your share of prompts with a neighbour; the cell reports its own."
        )
        return (Caution(kind="neighbours-only", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._donors import Donors, Neighbours, pass_embeddings

        texts = {
            key[0]: prompt for key, prompt in zip(setup.call.keys, setup.call.prompts, strict=True)
        }
        donors = Donors(model, setup, self.calls, dict(list(texts.items())[: self.donors]))
        if not donors.serves_any(texts.values()):
            raise NoEffect("the cell has a single prompt", WHERE, "Use more prompts.")
        model.hooks.append(pass_embeddings)
        donors.prepare(model, setup.call)
        neighbours = Neighbours(donors, self.threshold)
        model.draw = neighbours.generate
        return DonorCalls(neighbours, tuple(texts.values()))

    def recipe(self, context: RecipeContext) -> NoRecipe:
        return NoRecipe(reason=NO_STORE, hint=STORE_HINT)


class DonorCalls(Effect):
    """Counts denoiser calls taken from donors, and reports the prompts' similarity."""

    def __init__(self, neighbours: Any, prompts: tuple[str, ...]) -> None:
        self.neighbours, self.prompts = neighbours, prompts

    def start(self, model: TextToImage) -> None:
        self.neighbours.start()

    def report(self, model: TextToImage, calls: int) -> Shown:
        survey = self.neighbours.survey(model, self.prompts)
        replayed, computed = self.neighbours.counts
        if replayed <= 0:
            what = f"all {computed} timed denoiser calls were computed; {survey}"
            raise NoEffect(what, WHERE, self.neighbours.advise())
        total = replayed + computed
        summary = f"approximate: {survey}; {replayed} of {total} timed denoiser calls are stored"
        figures = count_calls(computed, replayed, calls) | survey.figures()
        return Shown(summary=summary, figures=figures)
