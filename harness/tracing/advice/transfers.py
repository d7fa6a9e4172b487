"""Time goes into copies between the host's memory and the GPU's."""

from harness.core.units import format_bytes, format_percent
from harness.tracing.bound import Bound
from harness.tracing.rule import Advice, Rule, Try, possible
from harness.tracing.scene import Scene


class Transfers(Rule):
    """Offloaded weights that come and go, or tensors made on the host; those that run beside kernels cost nothing."""

    def look(self, scene: Scene, bound: Bound) -> Advice | None:
        moved, back = scene.facts.host_to_device, scene.facts.device_to_host
        share = scene.working(moved.lost_s) + scene.working(back.lost_s)
        if share < 0.05:
            return None
        memory = scene.setting("memory")
        size = format_bytes(moved.size_bytes + back.size_bytes)
        sentence = (
            f"{format_percent(share, 0)} of the call is copies between the host and the GPU ({size} in the traced call)"
        )
        tries: tuple[Try, ...] = ()
        if "offload" in memory:
            tries = possible(scene, "memory", "none")
            sentence += f": memory {memory} moves the weights; where they fit into the GPU, take memory none"
        else:
            sentence += ": make tensors on the GPU, and keep them there"
        return Advice(
            rule="transfers",
            sentence=f"{sentence}.",
            figure=share,
            unit="share of the call",
            concerns=share,
            tries=tries,
        )
