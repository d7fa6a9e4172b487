"""The denoiser computes about as fast as this machine can."""

from harness.core.units import Absent, format_percent
from harness.tracing.bound import HELD, Bound
from harness.tracing.rule import Advice, Rule
from harness.tracing.scene import DENOISER, Scene

_LESS = {
    "steps": "fewer steps",
    "precision": "a smaller number format",
    "caching": "caching",
    "distillation": "a distilled model",
}
_PLAIN = {"precision": ("auto", "fp16", "bf16", "fp32", "tf32"), "caching": ("none", ""), "distillation": ("none", "")}


class Arithmetic(Rule):
    """Where arithmetic is what takes the time, only less of it helps, or cheaper."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = bound.compute_share
        if isinstance(share, Absent) or share < HELD or isinstance(scene.outcome.floor, Absent):
            return None
        left = [
            words for axis, words in _LESS.items() if scene.setting(axis) in _PLAIN.get(axis, (scene.setting(axis),))
        ]
        sentence = (
            f"The denoiser computes at {format_percent(share, 0)} of the rate at which this machine multiplies large "
            f"{scene.outcome.floor.dtype} matrices: only less work helps ({', '.join(left)})."
        )
        return Advice(
            rule="arithmetic",
            sentence=sentence,
            figure=share,
            unit="share of the measured rate",
            concerns=share * scene.share(DENOISER),
        )
