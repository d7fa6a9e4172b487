"""Prompt embeddings on disk: a prompt is encoded once, in the first run that uses it."""

from typing import Any, ClassVar

from harness.core.axis import AxisValue, Setup
from harness.core.effect import CallCounter, Effect
from harness.core.errors import NoEffect
from harness.core.model import TextToImage
from harness.core.outcome import Figures, Shown
from harness.core.recipe import RecipeContext, RecipeLines


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

    def recipe(self, context: RecipeContext) -> RecipeLines:
        family = context.family
        embedded = "".join(f", {name!r}: {value}" for name, value in family.embedded.items())
        names = {
            "GUIDED_CALLS": str(context.call["guidance"] > 1),
            "ENCODE": family.encode,
            "NAMES": repr(family.embedding_names),
            "EMBEDDED": embedded,
        }
        hook = EMBED
        for name, text in names.items():
            hook = hook.replace(f"<{name}>", text)
        return RecipeLines(
            imports=("import inspect", "from collections import OrderedDict"),
            definitions=("EMBEDDINGS: OrderedDict[Any, Any] = OrderedDict()", hook),
            build=("HOOKS.append(embed)",),
        )


EMBED = """def embed(pipe, call, arguments):
    \"\"\"Return the arguments with embeddings of their prompts; the last 64 prompts are kept.\"\"\"
    guided, rows = <GUIDED_CALLS>, []
    texts = arguments["prompt"]
    for prompt, unwanted in zip(texts, arguments.get("negative_prompt") or [None] * len(texts)):
        if (prompt, unwanted) not in EMBEDDINGS:
            prompts = [prompt]
            negative = {} if unwanted is None else {"negative_prompt": [unwanted]}
            with torch.no_grad():
                tensors = <ENCODE>
            EMBEDDINGS[prompt, unwanted] = {
                name: tensor
                for name, tensor in zip(<NAMES>, tensors)
                if tensor is not None and (guided or not name.startswith("negative_"))
            }
        EMBEDDINGS.move_to_end((prompt, unwanted))
        rows.append(EMBEDDINGS[prompt, unwanted])
        while len(EMBEDDINGS) > 64:
            EMBEDDINGS.popitem(last=False)
    kept = {k: v for k, v in arguments.items() if k not in ("prompt", "negative_prompt")}
    joined = {name: torch.cat([row[name] for row in rows]) for name in rows[0]}
    return {**kept<EMBEDDED>, **joined}"""
"""What `Embeddings` does, in memory only, in a file without harness."""


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
