"""What the raw repeats of a cell say about its stages, steps and memory."""

from collections.abc import Sequence
from statistics import median

from harness.core.outcome import Completed


def latencies(cell: Completed) -> list[float]:
    """Return the seconds of each timed call of the whole pipeline."""
    return [repeat.latency_s for repeat in cell.repeats]


def stage_medians(cell: Completed) -> dict[str, float]:
    """Return stage → median seconds of a call; `other` is what the stages leave of the median latency."""
    names = list(dict.fromkeys(name for repeat in cell.repeats for name in repeat.stages_s))
    stages = {name: median(repeat.stages_s.get(name, 0.0) for repeat in cell.repeats) for name in names}
    if stages:
        stages["other"] = max(median(latencies(cell)) - sum(stages.values()), 0.0)
    return stages


def step_medians(cell: Completed) -> list[float]:
    """Return the median seconds of each denoiser call, in order."""
    count = min((len(repeat.steps_s) for repeat in cell.repeats), default=0)
    return [median(repeat.steps_s[step] for repeat in cell.repeats) for step in range(count)]


def peak(counts: Sequence[object]) -> int | None:
    """Return the highest of the counts that were measured, or None where none was."""
    measured = [count for count in counts if isinstance(count, int)]
    return max(measured, default=None)
