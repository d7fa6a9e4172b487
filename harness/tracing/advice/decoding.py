"""The VAE takes much of the call."""

from harness.core.units import format_percent, format_seconds
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, Try, name_tries, possible
from harness.tracing.scene import Scene


class Decoding(Rule):
    """With few steps the decoder, which runs once per picture, is what remains."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = scene.share("vae")
        if share < 0.15:
            return None
        sentence = (
            f"{format_percent(share, 0)} of the call is the VAE's decoding ({format_seconds(scene.stage_s('vae'))})"
        )
        memory, tries = scene.setting("memory"), self._tries(scene)
        ways = [f"where it fits whole, memory {memory} is not needed"] if memory.startswith("vae-") else []
        ways += [f"{name_tries(tries)} compiles the decoder too"] if tries else []
        sentence = ": ".join((sentence, "; ".join(ways))) if ways else sentence
        return Advice(
            rule="decoding",
            sentence=f"{sentence}.",
            figure=share,
            unit="share of the call",
            concerns=share,
            tries=tries,
        )

    def _tries(self, scene: Scene) -> tuple[Try, ...]:
        compiler = scene.setting("compiler")
        if compiler in ("", "eager"):
            return possible(scene, "compiler", "inductor+vae")
        if compiler.startswith("inductor") and "+vae" not in compiler:
            return possible(scene, "compiler", f"{compiler}+vae")
        return ()
