"""The GPU waits for the host to launch its next kernel."""

from harness.core.units import format_percent, format_seconds
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, Try, name_tries, possible
from harness.tracing.scene import DENOISER, Scene


class Launches(Rule):
    """Many short kernels, launched one by one: a CUDA graph launches them all at once."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        stage = scene.denoiser
        if stage is None or not scene.launching or bound.idle_share < 0.15:
            return None
        each = format_seconds(stage.busy_s / max(stage.kernels, 1))
        sentence = (
            f"{format_percent(bound.idle_share, 0)} of the denoiser's time is gaps between kernels: the host launches "
            f"{stage.launches / stage.calls:,.0f} of them a call, of {each} each"
        )
        tries = self._tries(scene)
        if tries:
            sentence += f"; try {name_tries(tries)}"
        return Advice(
            rule="launches",
            sentence=f"{sentence}.",
            figure=bound.idle_share,
            unit="share of the denoiser's time",
            concerns=bound.idle_share * scene.share(DENOISER),
            tries=tries,
        )

    def _tries(self, scene: Scene) -> tuple[Try, ...]:
        """CUDA graphs unless they are asked for already; several images share the launches of one."""
        graphs = ("inductor+mode=reduce-overhead",) if scene.setting("compiler") in ("", "eager", "inductor") else ()
        more = ("4",) if scene.outcome.batch == 1 else ()
        return (*possible(scene, "compiler", *graphs), *possible(scene, "batch", *more))
