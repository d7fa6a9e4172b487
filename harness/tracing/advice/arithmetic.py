"""Arithmetic is most of the denoiser's time."""

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
_SOME = {"precision": ("fp8-torchao", "int8-torchao", "int8-quanto"), "caching": ("deepcache", "first-block")}
"""Values of an axis, of which one must go together with the cell for the axis to be named."""
_NEARLY_ALL = 0.95


class Arithmetic(Rule):
    """What the arithmetic leaves of the time is the most that faster kernels can save; less of it saves more."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = bound.compute_share
        if isinstance(share, Absent) or share < HELD or isinstance(scene.outcome.floor, Absent):
            return None
        rest = f"at most {format_percent(1 - share, 0)} of its time" if share < _NEARLY_ALL else "next to nothing"
        less = ", ".join(_LESS[axis] for axis in _LESS if _is_left(scene, axis))
        sentence = (
            f"The denoiser computes at {format_percent(share, 0)} of the rate at which this machine multiplies large "
            f"{scene.outcome.floor.dtype} matrices: faster kernels can save {rest}, less or cheaper work more"
            f"{f' ({less})' if less else ''}."
        )
        return Advice(
            rule="arithmetic",
            sentence=sentence,
            figure=share,
            unit="share of the measured rate",
            concerns=share * scene.share(DENOISER),
        )


def _is_left(scene: Scene, axis: str) -> bool:
    """Whether there is something to try on an axis: it is plain, and the cell can have another value."""
    if axis == "steps":
        return scene.outcome.denoiser_calls > 1
    fits = axis not in _SOME or any(scene.fits(axis, value) for value in _SOME[axis])
    return scene.setting(axis) in _PLAIN[axis] and fits
