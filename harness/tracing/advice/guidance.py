"""Guidance takes a second pass of the denoiser."""

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule
from harness.tracing.scene import DENOISER, Scene


class Guidance(Rule):
    """Where a GPU waits anyway, the second pass, which rides in the same batch, costs next to nothing."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        if scene.denoiser is None or not scene.model.guided(_scale(scene)):
            return None
        if scene.gpu and bound.idle_share >= 0.15:
            return None
        share = (1 - bound.idle_share) * scene.share(DENOISER) / 2
        sentence = (
            f"Guidance {scene.setting('guidance')} computes every picture twice, about {format_percent(share, 0)} of "
            "the call: models distilled to need none, with guidance 1, save it."
        )
        return Advice(rule="guidance", sentence=sentence, figure=share, unit="share of the call", concerns=share)


def _scale(scene: Scene) -> float:
    try:
        return float(scene.setting("guidance"))
    except ValueError:
        return 1.0
