"""Prompt embeddings on disk: a prompt is encoded once, in the first run that uses it."""

from typing import Any, ClassVar

from harness.core.axis import AxisValue, Setup
from harness.core.effect import CallCounter, Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Figures, Shown


class PromptEmbeddings(AxisValue):
    """Keyed by the encoders' weights, the tokenizers, the number format and the prompt."""

    summary: ClassVar[str] = "embeddings of known prompts, from disk"
    tags: ClassVar = frozenset({"reads-weights"})
    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch"})
    tolerance: ClassVar = 1e-5

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._proxy import Embeddings

        embeddings = Embeddings(model, setup.cache / "prompt-embeddings")
        model.hooks.append(embeddings)
        return EmbeddingLookups(embeddings)


class EmbeddingLookups(CallCounter):
    """Counts prompts found and encoded, and the remaining calls of encoders."""

    def __init__(self, embeddings: Any) -> None:
        super().__init__()
        self.embeddings = embeddings

    def start(self, model: TextToImage) -> None:
        super().start(model)
        self.embeddings.hits = self.embeddings.misses = 0

    def report(self, model: TextToImage, calls: int) -> Shown:
        hits, misses = self.embeddings.hits, self.embeddings.misses
        if not hits:
            raise NoEffect(f"none of {misses} prompts was known", "caching prompt-embeddings")
        encoded = sum(
            count for role, count in self.counts.items() if role.startswith("text_encoder")
        )
        figures: Figures = {
            "cache_hits": hits / calls,
            "cache_misses": misses / calls,
            "encoder_calls": encoded / calls,
        }
        return Shown(
            summary=f"{hits} of {hits + misses} prompts were not encoded again", figures=figures
        )
