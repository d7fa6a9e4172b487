"""The text encoders take much of the call."""

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, possible
from harness.tracing.scene import Scene


class Encoding(Rule):
    """Prompts that come again need not be encoded again."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        encoders = [stage.stage for stage in scene.facts.stages if stage.stage.startswith("text_encoder")]
        share = sum(scene.share(stage) for stage in encoders)
        if share < 0.08 or scene.setting("caching").startswith("prompt-embeddings"):
            return None
        tries = possible(scene, "caching", "prompt-embeddings")
        if not tries:
            return None
        sentence = (
            f"{format_percent(share, 0)} of the call encodes the prompt: where prompts come again, try {tries[0]}."
        )
        return Advice(
            rule="encoding", sentence=sentence, figure=share, unit="share of the call", concerns=share, tries=tries
        )
