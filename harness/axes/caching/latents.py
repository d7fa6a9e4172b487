"""Start from stored predictions of the same image: prompt, seed and all other settings."""

from typing import Any, ClassVar

from harness.axes.caching._reuse import NO_STORE, STORE_HINT, StoredStart, count_calls
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown
from harness.core.recipe import NoRecipe, RecipeContext


class Latents(StoredStart):
    """Exact: a known image continues from its latent; an unknown one is computed and stored."""

    summary: ClassVar[str] = "known images continue from their latent at step k"
    tolerance: ClassVar = 1e-5
    examples: ClassVar = ("latents+calls=1",)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = "timed calls start from a stored latent; new prompts gain nothing"
        advice = "Multiply the gain by the share of requests that repeat a prompt and seed."
        return (Caution(kind="repeats-only", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._proxy import Predictions

        predictions = Predictions(model, setup.cache / "latents", self.calls)
        model.draw = predictions.generate
        model.hooks.append(predictions.begin)
        return StoredCalls(predictions)

    def recipe(self, context: RecipeContext) -> NoRecipe:
        return NoRecipe(reason=NO_STORE, hint=STORE_HINT)


class StoredCalls(Effect):
    """Counts denoiser calls answered from the store, and computed ones."""

    def __init__(self, predictions: Any) -> None:
        self.predictions = predictions

    def start(self, model: TextToImage) -> None:
        self.predictions.replayed = self.predictions.computed = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        replayed, computed = self.predictions.replayed, self.predictions.computed
        if not replayed:
            what = f"all {computed} denoiser calls were computed: no image was known"
            fix = "Use caching none: the store removed the image between two calls."
            raise NoEffect(what, "caching latents", fix)
        summary = f"{replayed} of {replayed + computed} denoiser calls came from the store"
        return Shown(summary=summary, figures=count_calls(computed, replayed, calls))
