"""What holds the denoiser back: launches, the host, arithmetic, or memory; with the figures."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.outcome import Floor
from harness.core.units import Absent, format_percent, format_seconds
from harness.tracing.scene import Scene

IDLE, HELD = 0.25, 0.5
"""Share of the denoiser's time from which pauses, or arithmetic or memory, are said to hold it back."""
_WHOLE = 1.05
"""Share up to which the rates measured here may be a little low."""

Verdict = Literal["launch-bound", "host-bound", "compute-bound", "memory-bound", "mixed", "unknown"]


class Bound(Frozen):
    """What one call of the denoiser spends its time on, each a share of it, 0 to 1.

    `compute_share`: the least time of its arithmetic at the rate of large matrix products measured here.
    `weights_share`: the least time of reading its weights once, at the rate of a large copy measured here.
    `traffic_share`: kernels that wait for memory by their nature: norms, element by element, copies.
    """

    verdict: Verdict
    call_s: float
    idle_share: float
    compute_share: float | Absent
    weights_share: float | Absent
    traffic_share: float
    sentence: str


def bound_of(scene: Scene) -> Bound:
    """Return what holds the denoiser back; the roofline's question (Williams et al. 2009) with measured roofs."""
    compute, weights = _compute_share(scene), _weights_share(scene)
    traffic = scene.family_share("norm", "elementwise", "copy")
    verdict = _verdict(scene, compute, weights, traffic)
    return Bound(
        verdict=verdict,
        call_s=scene.denoiser_call_s,
        idle_share=scene.idle_share,
        compute_share=compute,
        weights_share=weights,
        traffic_share=traffic,
        sentence=_sentence(scene, verdict, compute, weights),
    )


def _verdict(scene: Scene, compute: float | Absent, weights: float | Absent, traffic: float) -> Verdict:
    if scene.denoiser is None or scene.opaque:
        return "unknown"
    if scene.idle_share >= IDLE:
        return "launch-bound" if scene.launching else "host-bound"
    known = compute if isinstance(compute, float) else 0.0
    memory = max(weights if isinstance(weights, float) else 0.0, traffic)
    if max(known, memory) >= HELD:
        return "compute-bound" if known >= memory else "memory-bound"
    return "unknown" if isinstance(compute, Absent) else "mixed"


def _floor(scene: Scene) -> Floor | Absent:
    if isinstance(scene.outcome.floor, Absent):
        return scene.outcome.floor
    if not scene.denoiser_call_s:
        return Absent(absent="no call of the denoiser was timed or traced")
    return scene.outcome.floor


def _compute_share(scene: Scene) -> float | Absent:
    floor = _floor(scene)
    if isinstance(floor, Absent):
        return floor
    return _held_against(scene, floor.seconds / scene.outcome.denoiser_calls, "the arithmetic that was counted")


def _weights_share(scene: Scene) -> float | Absent:
    floor, size = _floor(scene), scene.denoiser_bytes
    if isinstance(floor, Absent):
        return floor
    if isinstance(floor.bytes_per_s, Absent):
        return floor.bytes_per_s
    if not size:
        return Absent(absent="the size of the denoiser's weights is not known")
    return _held_against(scene, size / floor.bytes_per_s, "the reading of all its weights")


def _held_against(scene: Scene, least_s: float, what: str) -> float | Absent:
    """Return the share of a denoiser call that `what` takes at the least; Absent where not all of it is done."""
    if scene.setting("caching") not in ("", "none"):
        return Absent(absent=f"caching leaves out some of {what}")
    share = least_s / scene.denoiser_call_s
    return share if share <= _WHOLE else Absent(absent=f"it is faster than {what}: some is left out")


def _sentence(scene: Scene, verdict: Verdict, compute: float | Absent, weights: float | Absent) -> str:
    """Say the verdict in words, with the figure behind it."""
    if scene.denoiser is None:
        return "What holds the cell back is not known: no call of the denoiser is marked in the trace."
    call = f"One denoiser call takes {format_seconds(scene.denoiser_call_s)}"
    if scene.opaque:
        return f"{call}, in an engine outside of torch, of which the trace shows nothing."
    idle = format_percent(scene.idle_share, 0)
    if verdict in ("launch-bound", "host-bound"):
        why = "to launch the next kernel" if verdict == "launch-bound" else "Python and the host"
        return f"{call}; {idle} of it {scene.device} waits for {'the host ' * (verdict == 'launch-bound')}{why}."
    facts = [f"{scene.device} waits {idle} of that time"]
    if not isinstance(compute, Absent):
        facts.append(f"the arithmetic alone would need {format_percent(compute, 0)} at the rate measured here")
    if not isinstance(weights, Absent):
        facts.append(f"reading the weights once {format_percent(weights, 0)}")
    return f"{call}; {', '.join(facts)}."
