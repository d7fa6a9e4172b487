"""Small operations that a compiler would fuse take much of the denoiser's time."""

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, possible
from harness.tracing.scene import DENOISER, Scene


class Fusion(Rule):
    """Norms, element by element work and copies read and write all of their tensors each time, run eagerly."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = bound.traffic_share
        if scene.setting("compiler") not in ("", "eager") or share < 0.2:
            return None
        tries = possible(scene, "compiler", "inductor")
        if not tries:
            return None
        sentence = (
            f"{format_percent(share, 0)} of the denoiser's time is norms, element by element work and copies, which "
            f"wait for memory: {tries[0]} fuses them."
        )
        return Advice(
            rule="fusion",
            sentence=sentence,
            figure=share,
            unit="share of the denoiser's time",
            concerns=share * scene.share(DENOISER),
            tries=tries,
        )
