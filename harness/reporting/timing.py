"""What the raw repeats of a cell say about its stages, steps and memory."""

from math import ceil
from statistics import median

from harness.core.base import Frozen
from harness.core.outcome import ColdStart, Completed
from harness.core.quality import Interval
from harness.core.timing import Repeat
from harness.core.units import Absent


class Payback(Frozen):
    """From how many images on a cell has won back what building it cost more than cell `against`."""

    against: str
    images: int | Absent
    speedup: Interval | Absent
    """Seconds per image of cell `against` ÷ of this."""
    significant: bool
    """Whether that cost is worth a word: more than the time of one image of cell `against`."""


def warm_calls(cell: Completed) -> list[Repeat]:
    """Return the timed calls of a cell, in order, without those that were still warming up."""
    from harness.stats.steady_state import steady_blocks

    return [repeat for block in steady_blocks(cell.pairing) for repeat in block.repeats]


def image_median_s(cell: Completed) -> float:
    """Return the median seconds per image of a timed cell."""
    return median(repeat.latency_s for repeat in warm_calls(cell)) / cell.batch


def stage_medians(cell: Completed) -> dict[str, float]:
    """Return stage → median seconds of a call; `other` is what the stages leave of the median latency."""
    calls = warm_calls(cell)
    names = list(dict.fromkeys(name for repeat in calls for name in repeat.stages_s))
    stages = {name: median(repeat.stages_s.get(name, 0.0) for repeat in calls) for name in names}
    if stages:
        stages["other"] = max(median(repeat.latency_s for repeat in calls) - sum(stages.values()), 0.0)
    return stages


def step_medians(cell: Completed) -> list[float]:
    """Return the median seconds of each denoiser call, in order."""
    calls = warm_calls(cell)
    count = min((len(repeat.steps_s) for repeat in calls), default=0)
    return [median(repeat.steps_s[step] for repeat in calls) for step in range(count)]


def build_cost_s(cell: Completed) -> float:
    """Return the seconds that applying, building and compiling a cell's settings take from nothing.

    What came from a warm cache is counted with what it took when it was built (figures `build_s` and, of the graph
    an engine is made from, `onnx_export_s`); the kept code of inductor is not known to us: its warm compilation
    counts as it was.
    """
    built = [done.figures for done in cell.applied if done.figures.get("cache_hits")]
    kept = sum(float(figures.get(name, 0)) for figures in built for name in ("build_s", "onnx_export_s"))
    cold = cell.cold_start
    assert isinstance(cold, ColdStart)  # only of cells that were timed in this run
    return cold.apply_s + cold.compile_s + kept


def speedup_shown(baseline: Completed | None, cell: Completed) -> Interval | Absent:
    """Return the seconds per image of the baseline ÷ of this cell, as they were timed beside each other."""
    from harness.stats.speedup import over_baseline

    if cell is baseline:
        return Interval(estimate=1.0, low=1.0, high=1.0, method="the baseline itself")
    found = over_baseline(baseline, cell)
    return found if isinstance(found, Absent) else found.interval


def payback(cell: Completed, other: Completed, against: str, baseline: Completed | None) -> Payback:
    """Return when a cell has won back what it costs more than the other, whose id is `against`; both are timed."""
    from harness.stats.speedup import over_other

    found = over_other(baseline, other, cell)
    more_s = build_cost_s(cell) - build_cost_s(other)
    return Payback(
        against=against,
        images=found if isinstance(found, Absent) else break_even_images(more_s, cell, found.estimate),
        speedup=found if isinstance(found, Absent) else found.interval,
        significant=more_s > image_median_s(other),
    )


def break_even_images(more_s: float, cell: Completed, speedup: float) -> int | Absent:
    """Return from how many images on a cell has won back `more_s` seconds before the first one.

    The least n with more_s ≤ n · (speedup − 1) · seconds per image of the cell; absent where it is not faster.
    """
    if speedup <= 1:
        return Absent(absent="never won back: it is not faster")
    return max(0, ceil(more_s / ((speedup - 1) * image_median_s(cell)) - 1e-9))
