"""The device waits for Python: on a CPU between operators, on a GPU though nothing has to be launched one by one."""

from harness.core.units import format_percent, format_seconds
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, name_tries, possible
from harness.tracing.scene import DENOISER, Scene


class Pauses(Rule):
    """Pauses inside the denoiser that launching kernels does not explain."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        stage = scene.denoiser
        if stage is None or scene.opaque or bound.idle_share < 0.15:
            return None
        if scene.launching:
            return None  # a rule of its own
        percent = format_percent(bound.idle_share, 0)
        if scene.gpu:
            longest = max(
                (gap for gap in scene.facts.gaps if gap.stage == DENOISER), key=lambda gap: gap.seconds, default=None
            )
            where = (
                f", the longest {format_seconds(longest.seconds)} ({longest.host})" if longest and longest.host else ""
            )
            sentence = f"{percent} of the denoiser's time the GPU waits for the host{where}"
        else:
            each = stage.kernels / stage.calls
            sentence = f"{percent} of the denoiser's time is Python between {each:,.0f} operators a call"
        values = ("inductor",) if scene.gpu else ("inductor", "onnxruntime", "openvino")
        eager = scene.setting("compiler") in ("", "eager")
        tries = possible(scene, "compiler", *values) if eager else ()
        return Advice(
            rule="pauses",
            sentence=f"{sentence}; try {name_tries(tries)}." if tries else f"{sentence}.",
            figure=bound.idle_share,
            unit="share of the denoiser's time",
            concerns=bound.idle_share * scene.share(DENOISER),
            tries=tries,
        )
