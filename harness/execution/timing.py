"""Time whole-pipeline calls; keep every raw sample."""

from typing import Any

from harness.core.model import Call, TextToImage
from harness.core.timing import Repeat
from harness.execution.task import call_for
from harness.measure.clock import timed
from harness.measure.stages import PartCall, stage_clock


def time_call(model: TextToImage, call: Call) -> float:
    """Return the wall seconds of one call, its result thrown away."""
    with timed(model.device) as watch:
        model.generate(call)
    return watch.seconds


def take_repeats(model: TextToImage, call: Call, count: int) -> tuple[Repeat, ...]:
    """Return `count` timed calls with the time of each part and each denoiser call."""
    return tuple(_take_repeat(model, call) for _ in range(count))


def _take_repeat(model: TextToImage, call: Call) -> Repeat:
    with stage_clock(model.parts(), model.device) as clock, timed(model.device) as watch:
        model.generate(call)
    calls = clock.calls()
    return Repeat(
        latency_s=watch.seconds,
        device_s=watch.device_s,
        stages_s=_by_role(calls, watch.seconds),
        steps_s=tuple(part.seconds for part in calls if part.role == "denoiser"),
    )


def _by_role(calls: list[PartCall], total_s: float) -> dict[str, float]:
    """Seconds per role, and `other`: scheduler, tokenizer, post-processing and Python between the parts."""
    sums: dict[str, float] = {}
    for part in calls:
        sums[part.role] = sums.get(part.role, 0.0) + part.seconds
    return {**sums, "other": max(0.0, total_s - sum(sums.values()))}


def stage_call(task_prompts: Any, call: Call, batch: int, seed: int) -> Call:
    """Return the call that is timed: the first prompts of the set, repeated up to the batch size."""
    count = len(task_prompts)
    return call_for(call, [(task_prompts[place % count], seed + place // count) for place in range(batch)])
