"""Small drawings of one cell's samples: positions and lengths in percent, drawn by the style sheet."""

import math
from collections.abc import Mapping, Sequence

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.reporting.facts import Timing
from harness.reporting.forest import Tick
from harness.reporting.timing import step_medians, warm_calls
from harness.reporting.wording import seconds, seconds_interval

_DOTS = 400


class Dot(Frozen):
    """One timed call: position along the axis and height, both in percent."""

    at: float
    height: float
    text: str


class LatencyStrip(Frozen):
    """The raw repeats of a cell as dots, with the median and its interval."""

    dots: tuple[Dot, ...]
    at: float
    low: float
    high: float
    ticks: tuple[Tick, ...]
    caption: str


class BarPart(Frozen):
    """One part of a whole: its share in percent, and a number that picks its colour."""

    name: str
    share: float
    text: str
    colour: int


class PartBar(Frozen):
    """A whole and its parts."""

    parts: tuple[BarPart, ...]
    total: str


class Bars(Frozen):
    """One bar a denoiser call: heights in percent of the tallest."""

    bars: tuple[Dot, ...]
    caption: str


def round_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers between two values."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough)
    first = math.ceil(low / step)
    return [step * index for index in range(first, math.floor(high / step) + 1)]


def latency_strip(cell: Completed, timing: Timing) -> LatencyStrip:
    """Return the distribution of a cell's raw latencies; beyond 400 every k-th dot is drawn."""
    samples = [repeat.latency_s for repeat in cell.repeats]
    least, most = min(samples), max(samples)
    pad = (most - least) * 0.06 or most * 0.05
    low, high = least - pad, most + pad

    def at(value: float) -> float:
        return round(100 * (value - low) / (high - low), 2)

    every = math.ceil(len(samples) / _DOTS)
    dots = tuple(
        Dot(
            at=at(value),
            height=20 + (index * 0.618 % 1) * 60,
            text=f"call {index + 1}: {seconds(value)}",
        )
        for index, value in enumerate(samples)
        if index % every == 0
    )
    latency = timing.latency_s
    cold = len(samples) - len(warm_calls(cell))
    without = f" without the {cold} that were still warming up" if cold else ""
    caption = f"{len(samples)} calls, median{without} {seconds_interval(latency)}, "
    caption += f"95th percentile {seconds(timing.p95_s)}"
    if timing.batch > 1:
        caption += f", {timing.batch} images a call"
    ticks = tuple(Tick(at=at(tick), label=seconds(tick)) for tick in round_ticks(low, high))
    return LatencyStrip(
        dots=dots, at=at(latency.estimate), low=at(max(latency.low, low)), high=at(min(latency.high, high)),
        ticks=ticks, caption=caption,
    )  # fmt: skip


def part_bar(parts_s: Mapping[str, float]) -> PartBar | None:
    """Return how seconds divide into parts, or None where there is nothing to divide."""
    total = sum(parts_s.values())
    if total <= 0:
        return None
    parts = tuple(
        BarPart(name=name.replace("_", " "), share=round(100 * value / total, 2), colour=index,
             text=f"{seconds(value)}, {100 * value / total:.0f} %")
        for index, (name, value) in enumerate(parts_s.items())
        if value > 0
    )  # fmt: skip
    return PartBar(parts=parts, total=seconds(total))


def cold_parts(timing: Timing) -> PartBar | None:
    """Return how the time from nothing to the first image divides."""
    cold = timing.cold.model_dump()
    return part_bar({name.removesuffix("_s"): value for name, value in cold.items()})


def step_bars(cell: Completed) -> Bars | None:
    """Return the median time of each denoiser call, or None where steps were not timed."""
    steps: Sequence[float] = step_medians(cell)
    if len(steps) < 2:
        return None
    tallest = max(steps)
    bars = tuple(
        Dot(at=0, height=round(100 * value / tallest, 1), text=f"step {index + 1}: {seconds(value)}")
        for index, value in enumerate(steps)
    )
    caption = f"{len(steps)} denoiser calls, {seconds(min(steps))} to {seconds(tallest)} each (median over repeats)"
    return Bars(bars=bars, caption=caption)
