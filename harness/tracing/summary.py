"""The content of a trace as JSON for programs and language models, with self-explanatory keys."""

from collections.abc import Sequence
from typing import Any

from harness.core.trace import TraceFacts
from harness.tracing.diff import TraceDiff
from harness.tracing.rule import Advice
from harness.tracing.traced_cell import Bound

ABOUT = (
    "Facts of one traced pipeline call of a text-to-image model. Seconds unless a key says "
    "otherwise; shares are 0 to 1. The walls of all stages add up to the call's wall time under "
    "the profiler, which slows down the host. A stage is busy while the device computes for it. A "
    "figure that could not be measured is {'absent': reason}."
)
_KERNELS = 20


def summarize_trace(
    facts: TraceFacts, bound: Bound, advice: Sequence[Advice], diff: TraceDiff | None = None
) -> dict[str, Any]:
    """Return facts, advice and comparison as one JSON-ready dictionary."""
    found: dict[str, Any] = {
        "about": ABOUT,
        "device": facts.device,
        "traced_call": {
            "wall_s": facts.wall_s,
            "busy_s": facts.busy_s,
            "idle_s": max(facts.wall_s - facts.busy_s, 0.0),
        },
        "denoiser_bound": bound.model_dump(mode="json"),
        "advice": [found.model_dump(mode="json") for found in advice],
        "stages": [
            {**stage.model_dump(mode="json"), "idle_s": stage.gap_s} for stage in facts.stages
        ],
        "longest_kernels": [kernel.model_dump(mode="json") for kernel in facts.kernels[:_KERNELS]],
        "longest_pauses_of_the_device": [gap.model_dump(mode="json") for gap in facts.gaps],
        "host_waits_for_device": facts.synchronisations.model_dump(mode="json"),
        "copies_host_to_device": facts.host_to_device.model_dump(mode="json"),
        "copies_device_to_host": facts.device_to_host.model_dump(mode="json"),
        "number_format_conversions": facts.casts.model_dump(mode="json"),
        "recompiles": facts.model_dump(mode="json")["recompiles"],
        "compiling_s_by_stage": facts.compiling_s,
        "notes": list(facts.notes),
    }
    if diff is not None:
        found["against"] = {
            "unit": "one call of each stage, under the profiler",
            **diff.model_dump(mode="json"),
        }
    rounded: dict[str, Any] = _rounded(found)
    return rounded


def _rounded(value: Any) -> Any:
    """Return numbers with six significant digits: a trace has no more."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {key: _rounded(part) for key, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list | tuple) else value
