"""The GPU waits for the host to launch its next kernel."""

from harness.core.units import format_percent, format_seconds
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, Try, name_tries
from harness.tracing.scene import DENOISER, Scene


class Launches(Rule):
    """Many short kernels, launched one by one: a CUDA graph launches them all at once."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        stage = scene.denoiser
        if stage is None or not scene.gpu or scene.graphs or bound.idle_share < 0.15 or stage.launches < 50:
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
        compiler, found = scene.setting("compiler"), []
        if compiler in ("", "eager") or compiler == "inductor":
            found.append(Try(axis="compiler", value="inductor+mode=reduce-overhead"))
        if scene.outcome.batch == 1:
            found.append(Try(axis="batch", value="4"))
        return tuple(found)
