"""What the raw samples of a cell say about its times."""

from math import ceil
from statistics import median
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.outcome import ColdStart, Completed
from harness.core.quality import Interval, Uncertainty
from harness.core.timing import Repeat, Side
from harness.core.units import Absent


class NormalizedLatency(NamedTuple):
    """Seconds per image on the baseline's clock, with interval and confidence distribution."""

    image_s: Interval
    spread: Uncertainty


class BreakEven(Frozen):
    """The images after which a cell has won back what building it cost more than `against`."""

    against: str
    images: int | Absent
    speedup: Interval | Absent
    """Seconds per image of cell `against` ÷ of this cell."""
    is_notable: bool
    """Whether that cost is more than the time of one image of cell `against`."""


def warm_calls(cell: Completed, side: Side = "cell") -> list[Repeat]:
    """Return the counted calls of one side after warm-up, in order."""
    from harness.stats.steady_state import steady_blocks

    return [repeat for block in steady_blocks(cell.pairing, side) for repeat in block.repeats]


def image_seconds(cell: Completed, side: Side, batch: int) -> float | None:
    """Return the median seconds per image of one side's calls; None if it has none."""
    calls = warm_calls(cell, side)
    return median(repeat.latency_s for repeat in calls) / batch if calls else None


def per_image(call: Interval, batch: int) -> Interval:
    """Return the seconds of a call as seconds per image."""
    parts = {name: getattr(call, name) / batch for name in ("estimate", "low", "high")}
    return call.model_copy(update=parts)


def interval_half_width(value: Interval | Absent) -> float | None:
    """Return the relative half-width of an interval; None if it is absent or a point."""
    if isinstance(value, Absent) or value.low <= 0 or value.high == value.low:
        return None
    return float((value.high / value.low) ** 0.5 - 1)


def stage_medians(cell: Completed) -> dict[str, float]:
    """Return stage → median seconds of a call; `other` is the rest of the median latency."""
    calls = warm_calls(cell)
    names = list(dict.fromkeys(name for repeat in calls for name in repeat.stages_s))
    names = [name for name in names if name != "other"]
    stages = {name: median(repeat.stages_s.get(name, 0.0) for repeat in calls) for name in names}
    if stages:
        whole = median(repeat.latency_s for repeat in calls)
        stages["other"] = max(whole - sum(stages.values()), 0.0)
    return stages


def step_medians(cell: Completed) -> list[float]:
    """Return the median seconds of each denoiser call, in order."""
    calls = warm_calls(cell)
    count = min((len(repeat.steps_s) for repeat in calls), default=0)
    return [median(repeat.steps_s[step] for repeat in calls) for step in range(count)]


def build_cost_s(cell: Completed) -> float:
    """Return the seconds that applying, building and compiling take without caches.

    An engine from a warm cache counts with the time it once took (figures `build_s` and
    `onnx_export_s`). Inductor's cached code records no such time: a warm compilation counts as is.
    """
    built = [done.figures for done in cell.applied if done.figures.get("cache_hits")]
    names = ("build_s", "onnx_export_s")
    cached = sum(float(figures.get(name, 0)) for figures in built for name in names)
    cold = cell.cold_start
    assert isinstance(cold, ColdStart)  # every cell that was timed in this run has one
    return cold.apply_s + cold.compile_s + cached


def normalize_latency(baseline: Completed | None, cell: Completed) -> NormalizedLatency:
    """Return the baseline's median seconds per image ÷ a cell's speedup.

    The baseline's median counts as exact: its error moves all cells alike. A cell that was timed
    alone keeps its own median.
    """
    from harness.stats.confidence import exactly, interval, transform
    from harness.stats.latency import cell_latency, image_s
    from harness.stats.speedup import over_baseline

    paired = baseline is not None and cell is not baseline and bool(cell.pairing.of("baseline"))
    found = over_baseline(baseline, cell) if paired else None
    if found is None or isinstance(found, Absent):
        own = cell_latency(cell.pairing)
        mine = own.median_s.estimate / cell.batch
        if cell is baseline or isinstance(own.spread, Absent):
            return NormalizedLatency(per_image(own.median_s, cell.batch), exactly(mine))
        spread = transform(own.spread, lambda call_s: call_s / cell.batch)
        return NormalizedLatency(interval(spread, mine, own.median_s.method), spread)
    assert baseline is not None
    base_s = image_s(baseline.pairing, baseline.batch)
    assert base_s is not None
    mine, ratio = base_s / found.estimate, found.spread
    spread = (
        exactly(mine) if isinstance(ratio, Absent) else transform(ratio, lambda by: base_s / by)
    )
    return NormalizedLatency(interval(spread, mine, "the baseline's median ÷ the speedup"), spread)


def break_even(
    cell: Completed, other: Completed, against: str, baseline: Completed | None
) -> BreakEven:
    """Return when a cell has won back what it costs more than another, whose id is `against`.

    The least n with cost ≤ n · (speedup − 1) · seconds per image of the cell.
    """
    from harness.stats.speedup import over_other

    found = over_other(baseline, other, cell)
    more_s = build_cost_s(cell) - build_cost_s(other)
    image_s, other_s = (image_seconds(made, "cell", made.batch) or 0.0 for made in (cell, other))
    images: int | Absent
    if isinstance(found, Absent):
        images = found
    elif found.estimate <= 1:
        images = Absent(absent="never won back: it is not faster")
    else:
        images = max(0, ceil(more_s / ((found.estimate - 1) * image_s) - 1e-9))
    return BreakEven(
        against=against,
        images=images,
        speedup=found if isinstance(found, Absent) else found.interval,
        is_notable=more_s > other_s,
    )
