"""Time goes into converting from one number format to another."""

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule
from harness.tracing.scene import Scene


class Casts(Rule):
    """Weights or activations that are stored in one format and computed in another."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        casts, busy_s = scene.facts.casts, scene.facts.busy_s
        share = casts.total_s / busy_s if busy_s else 0.0
        if share < 0.05:
            return None
        sentence = (
            f"{format_percent(share, 0)} of what {scene.device} computes is conversion between number formats "
            f"({casts.count:,} of them): a precision that computes in the format it stores needs none."
        )
        return Advice(
            rule="casts",
            sentence=sentence,
            figure=share,
            unit="share of the busy time",
            concerns=share * busy_s / scene.facts.wall_s,
        )
