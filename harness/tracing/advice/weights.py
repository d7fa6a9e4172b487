"""Reading the denoiser's weights takes much of its time."""

from harness.core.units import Absent, format_bytes, format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, name_tries, possible
from harness.tracing.scene import DENOISER, Scene


class Weights(Rule):
    """A large model that makes one small picture at a time reads its weights more than it computes with them."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        share = bound.weights_share
        if isinstance(share, Absent) or share < 0.35:
            return None
        size = format_bytes(scene.denoiser_bytes or 0)
        smaller = ("int8-torchao",) if self._plain(scene) else ()
        more = ("4",) if scene.outcome.batch == 1 else ()
        tries = (*possible(scene, "precision", *smaller), *possible(scene, "batch", *more))
        sentence = f"Reading the denoiser's weights ({size} a call) takes {format_percent(share, 0)} of its time"
        return Advice(
            rule="weights",
            sentence=f"{sentence}; try {name_tries(tries)}." if tries else f"{sentence}.",
            figure=share,
            unit="share of the denoiser's time",
            concerns=min(share, 1.0) * scene.share(DENOISER),
            tries=tries,
        )

    def _plain(self, scene: Scene) -> bool:
        return scene.setting("precision") in ("", "auto", "fp16", "bf16", "fp32", "tf32")
