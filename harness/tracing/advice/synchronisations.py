"""The host waits for the GPU between denoising steps, and the GPU then for the host."""

from harness.core.units import format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule
from harness.tracing.scene import Scene


class Synchronisations(Rule):
    """Each `.item()`, `.cpu()` or `nonzero()` in the loop empties the queue that keeps a GPU busy."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        waits, stage = scene.facts.synchronisations, scene.denoiser
        if stage is None or waits.in_loop < stage.calls:
            return None
        share = scene.waiting(waits.lost_s)
        if share < 0.02:
            return None
        callers = ", ".join(f"{name} {count}×" for name, count in list(waits.callers.items())[:2])
        each = waits.in_loop / stage.calls
        often = "once" if round(each, 2) == 1 else f"{each:.3g} times"
        sentence = (
            f"The host waits for the GPU {often} per denoising step ({callers}), and "
            f"{format_percent(share, 0)} of the call the GPU then has nothing to do: keep these values on the GPU, or "
            "take a scheduler or a cache that does not ask for them."
        )
        return Advice(
            rule="synchronisations",
            sentence=sentence,
            figure=each,
            unit="waits per denoising step",
            concerns=share,
        )
