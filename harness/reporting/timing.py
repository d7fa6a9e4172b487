"""What the raw repeats of a cell say about its stages, steps and memory."""

from collections.abc import Sequence
from math import ceil
from statistics import median

from harness.core.outcome import Completed
from harness.core.units import Absent


def latencies(cell: Completed) -> list[float]:
    """Return the seconds of each timed call of the whole pipeline."""
    return [repeat.latency_s for repeat in cell.repeats]


def image_seconds(cell: Completed) -> list[float]:
    """Return the seconds per image of each timed call."""
    return [seconds / cell.batch for seconds in latencies(cell)]


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


def build_cost_s(cell: Completed) -> float:
    """Return the seconds that applying, building and compiling a cell's settings take from nothing.

    What came from a warm cache is counted with what it took when it was built (figures `build_s` and, of the graph
    an engine is made from, `onnx_export_s`); the kept code of inductor is not known to us: its warm compilation
    counts as it was.
    """
    built = [done.figures for done in cell.applied if done.figures.get("cache_hits")]
    kept = sum(float(figures.get(name, 0)) for figures in built for name in ("build_s", "onnx_export_s"))
    return cell.cold_start.apply_s + cell.cold_start.compile_s + kept


def break_even_images(cell: Completed, baseline: Completed) -> int | Absent:
    """Return from how many images on a cell has won back what it costs more than the baseline before the first one.

    The least n with cost + n · seconds per image no more than the baseline's; absent where it is not faster.
    """
    if cell.latency_s is None or baseline.latency_s is None:
        return Absent(absent="no timed calls")
    gain_s = baseline.latency_s - cell.latency_s
    if gain_s <= 0:
        return Absent(absent="not faster than the baseline: it never pays")
    return max(0, ceil((build_cost_s(cell) - build_cost_s(baseline)) / gain_s - 1e-9))
