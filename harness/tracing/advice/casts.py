"""Time goes into converting from one number format to another."""

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule
from harness.tracing.scene import Scene


class Casts(Rule):
    """Weights or activations that are stored in one format and computed in another."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        casts = scene.facts.casts
        share = scene.working(casts.lost_s)
        if share < 0.05:
            return None
        sentence = (
            f"{format_percent(share, 0)} of the call is conversion between number formats ({casts.count:,} of them in "
            "the traced call): a precision that computes in the format it stores needs none."
        )
        return Advice(rule="casts", sentence=sentence, figure=share, unit="share of the call", concerns=share)
