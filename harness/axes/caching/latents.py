"""Start from what is stored of the same image: prompt, seed, and all else it depends on."""

from typing import Any, ClassVar

from harness.axes.caching._reuse import StoredStart, call_figures
from harness.core.axis import Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown


class Latents(StoredStart):
    """Exact: a known image goes on from its own latent; one that is not known is made, and kept for the next time."""

    summary: ClassVar[str] = "known images go on from their latent at step k"
    tolerance: ClassVar = 1e-5
    examples: ClassVar = ("latents+calls=1",)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = "the timed calls start from a stored latent; images of prompts that are new are as slow as ever"
        advice = "Multiply the gain by the share of requests that ask for the same prompt and seed again."
        return (Caution(kind="repeats-only", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._proxy import Predictions

        predictions = Predictions(model, setup.cache / "latents", self.calls)
        model.draw = predictions.generate
        model.hooks.append(predictions.begin)
        return Replayed(predictions)


class Replayed(Effect):
    """Counts denoiser calls that were answered from the store, and those that were made."""

    def __init__(self, predictions: Any) -> None:
        self.predictions = predictions

    def start(self, model: TextToImage) -> None:
        self.predictions.replayed = self.predictions.computed = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        replayed, computed = self.predictions.replayed, self.predictions.computed
        if not replayed:
            what = f"all {computed} denoiser calls were made: no image was known"
            raise NoEffect(what, "caching latents", "Use caching none: the store forgot the image between two calls.")
        summary = f"{replayed} of {replayed + computed} denoiser calls came from the store"
        return Shown(summary=summary, figures=call_figures(computed, replayed, calls))
