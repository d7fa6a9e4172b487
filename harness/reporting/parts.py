"""Parts of a page: named values, bars, and drawings in percent for the style sheet."""

import math
from collections.abc import Iterable, Mapping

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.trace import TraceFacts
from harness.core.units import Absent, format_seconds
from harness.results import CellResult
from harness.results.format import format_share, format_value
from harness.results.timing import step_medians, warm_calls

_DOTS = 400
_LETTER_PERCENT = 0.75
"""The width of a letter on a desktop; a bar too narrow for its name has no label."""


class NamedValue(Frozen):
    """A name, its value, and a note."""

    name: str
    value: str
    note: str = ""


class Tick(Frozen):
    """A label on an axis, at a position in percent of its length."""

    at: float
    label: str
    is_margin: bool = False
    is_minor: bool = False


class Piece(Frozen):
    """A piece of a bar: its width in percent, the class that colours it, and its words."""

    width: float
    colour: str
    text: str
    name: str = ""


class Bar(Frozen):
    """An amount in pieces."""

    name: str
    value: str
    pieces: tuple[Piece, ...]
    note: str = ""


def list_absences(values: Iterable[tuple[str, object]]) -> tuple[NamedValue, ...]:
    """Return the absent ones of some named values: each reason once, with all its names."""
    reasons: dict[str, list[str]] = {}
    for name, value in values:
        if isinstance(value, Absent):
            reasons.setdefault(value.absent, []).append(name)
    return tuple(
        NamedValue(name="Not measured", value=", ".join([first, *map(_lower, rest)]), note=reason)
        for reason, (first, *rest) in reasons.items()
    )


def _lower(name: str) -> str:
    """Return a name as it stands within a sentence; abbreviations stay as they are."""
    return name if name[:3].isupper() else name[:1].lower() + name[1:]


def round_ticks(low: float, high: float, count: int = 4) -> list[float]:
    """Return about `count` round numbers between two values."""
    if high <= low:
        return [low]
    rough = (high - low) / count
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * unit for unit in (1, 2, 5, 10) if power * unit >= rough)
    first = math.ceil(low / step)
    return [step * index for index in range(first, math.floor(high / step) + 1)]


def divide(name: str, parts_s: Mapping[str, float]) -> Bar | None:
    """Return how seconds divide into parts; None if there is nothing to divide."""
    total = sum(parts_s.values())
    if total <= 0:
        return None
    pieces = tuple(
        Piece(
            name=part.replace("_", " "),
            width=round(100 * value / total, 2),
            colour=f"c{index}",
            text=f"{format_seconds(value)}, {100 * value / total:.0f} %",
        )
        for index, (part, value) in enumerate(parts_s.items())
        if value > 0
    )
    return Bar(name=name, value=format_seconds(total), pieces=pieces)


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


class StepBars(Frozen):
    """One bar a denoiser call: heights in percent of the tallest."""

    bars: tuple[Dot, ...]
    caption: str


def latency_strip(cell: CellResult) -> LatencyStrip:
    """Return the raw latencies of a timed cell; beyond 400 every k-th dot is drawn."""
    timed, latency = cell.timed, cell.latency
    assert isinstance(timed, Completed) and not isinstance(latency, Absent)
    samples = [repeat.latency_s for repeat in timed.repeats]
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
            text=f"call {index + 1}: {format_seconds(value)}",
        )
        for index, value in enumerate(samples)
        if index % every == 0
    )
    middle = latency.median_s
    warming = len(samples) - len(warm_calls(timed))
    without = f" without {warming} warm-up calls" if warming else ""
    caption = f"{len(samples)} calls, median{without} {format_value(middle, 'seconds')}, "
    caption += f"95th percentile {format_seconds(latency.p95_s)}"
    if timed.batch > 1:
        caption += f", {timed.batch} images a call"
    ticks = tuple(Tick(at=at(tick), label=format_seconds(tick)) for tick in round_ticks(low, high))
    return LatencyStrip(
        dots=dots,
        at=at(middle.estimate),
        low=at(max(middle.low, low)),
        high=at(min(middle.high, high)),
        ticks=ticks,
        caption=caption,
    )


def step_bars(cell: Completed) -> StepBars | None:
    """Return the median time of each denoiser call; None if steps were not timed."""
    steps = step_medians(cell)
    if len(steps) < 2:
        return None
    tallest = max(steps)
    bars = tuple(
        Dot(
            at=0,
            height=round(100 * value / tallest, 1),
            text=f"step {index + 1}: {format_seconds(value)}",
        )
        for index, value in enumerate(steps)
    )
    ends = f"{format_seconds(min(steps))} to {format_seconds(tallest)}"
    caption = f"{len(steps)} denoiser calls, {ends} each (median over repeats)"
    return StepBars(bars=bars, caption=caption)


class FlameBar(Frozen):
    """One range: left end and width in percent, its row, its colour, a label if it fits."""

    left: float
    width: float
    row: int
    colour: int
    label: str
    text: str


class Flame(Frozen):
    """All bars over one axis of seconds."""

    bars: tuple[FlameBar, ...]
    rows: int
    ticks: tuple[Tick, ...]
    left_out: int


def build_flame(facts: TraceFacts, most: int) -> Flame | None:
    """Return the timeline of a trace with its `most` longest ranges; None if it has none."""
    spans = facts.timeline
    if not spans:
        return None
    start = min(span.begin_s for span in spans)
    end = max(span.begin_s + span.seconds for span in spans)
    whole = (end - start) or 1.0
    longest = sorted(spans, key=lambda span: (-span.seconds, span.depth))[:most]
    colours = {
        name: index
        for index, name in enumerate(dict.fromkeys(s.name for s in spans if not s.depth))
    }
    bars, stage = [], 0
    for span in sorted(longest, key=lambda span: (span.begin_s, span.depth)):
        stage = colours.get(span.name, stage) if not span.depth else stage
        width = 100 * span.seconds / whole
        name, begin = span.name.replace("_", " "), format_seconds(span.begin_s - start)
        bars.append(
            FlameBar(
                left=round(100 * (span.begin_s - start) / whole, 3),
                width=round(width, 3),
                row=span.depth,
                colour=stage % 6,
                label=name if len(name) * _LETTER_PERCENT < width else "",
                text=f"{name}: {format_seconds(span.seconds)}, {format_share(width / 100)},"
                f" from {begin}",
            )
        )
    ticks = tuple(
        Tick(at=round(100 * tick / whole, 2), label=format_seconds(tick) if tick else "0")
        for tick in round_ticks(0.0, whole, 6)
    )
    rows = 1 + max(bar.row for bar in bars)
    return Flame(
        bars=tuple(bars),
        rows=rows,
        ticks=ticks,
        left_out=facts.ranges_left_out + len(spans) - len(longest),
    )
