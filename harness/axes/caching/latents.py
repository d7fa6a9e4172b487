"""Start from what is stored of the same image: prompt, seed, and all else it depends on."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown


class Latents(AxisValue):
    """Exact: a known image goes on from its own latent; one that is not known is made, and kept for the next time."""

    summary: ClassVar[str] = "known images go on from their latent at step k"
    tags: ClassVar = frozenset({"stored-latents"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    tolerance: ClassVar = 1e-5
    examples: ClassVar = ("latents+calls=1",)

    calls: Annotated[int, Field(ge=1, le=1000)] = 2
    """Denoiser calls at the beginning that are taken from the store: k."""

    def refuse(self, context: Context) -> str | None:
        steps = int(context.values["steps"].call_options()["steps"])
        if self.calls >= steps:
            return f"starts after {self.calls} denoiser calls, and the cell takes {steps} steps: lower calls"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        message = "the timed calls start from a stored latent; images of prompts that are new are as slow as ever"
        advice = "Multiply the gain by the share of requests that ask for the same prompt and seed again."
        return (Caution(kind="repeats-only", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._predictions import Predictions

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
            raise NoEffect(f"all {computed} denoiser calls were made: no image was known", "caching latents")
        figures: dict[str, float | int | str] = {
            "denoiser_calls": computed / calls,
            "denoiser_calls_skipped": replayed / calls,
        }
        return Shown(summary=f"{replayed} of {replayed + computed} denoiser calls came from the store", figures=figures)
