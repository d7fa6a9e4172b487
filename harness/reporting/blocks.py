"""The timed blocks of a cell, drawn in order of time in percent: calls, rounds and speedups."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.quality import Interval
from harness.core.timing import Block, Side
from harness.core.units import Absent, format_seconds
from harness.reporting.parts import Tick, round_ticks
from harness.results.format import format_factor, format_share, plural

SIDES: tuple[Side, ...] = ("baseline", "cell")
_CLASSES: dict[Side, str] = {"baseline": "theirs", "cell": "mine"}
_MAX_BLOCKS = 240
"""Blocks that are drawn: as many as fit on a phone."""
_MIN_HALF_RANGE = 0.01
_EDGE = 4.0
_DOTS = {True: 900, False: 200}
"""Calls that are drawn, on a page with few cells or with many."""


@dataclass(frozen=True)
class Frame:
    """The scale of a drawing: blocks, each side's median warm call, outliers and half the range.

    `warm` are the numbers of the blocks before the end of warm-up, `odd` the outliers as (block,
    call). Calls beyond `half_range` are drawn at the edge.
    """

    blocks: tuple[Block, ...]
    middles: dict[Side, float]
    warm: frozenset[int]
    odd: frozenset[tuple[int, int]]
    half_range: float

    def off(self, latency_s: float, side: Side) -> float:
        """Return how far a call lies from its side's median, as a share of it."""
        middle = self.middles.get(side)
        return latency_s / middle - 1 if middle else 0.0

    def height(self, off: float) -> float:
        """Return where a share stands, in percent from the top."""
        return round(min(max(50 * (1 - off / self.half_range), _EDGE), 100 - _EDGE), 2)


def fit_frame(cell: Completed) -> Frame:
    """Return the scale of a cell's blocks; those of the warm-up have no outliers."""
    from harness.stats.steady_state import steady_blocks

    blocks = cell.pairing.blocks[:_MAX_BLOCKS]
    steady = {side: steady_blocks(cell.pairing, side) for side in SIDES}
    middles = {side: median(list_calls(counted)) for side, counted in steady.items() if counted}
    counts = {id(block) for counted in steady.values() for block in counted}
    warm = frozenset(
        index
        for index, block in enumerate(blocks)
        if not block.superseded and id(block) not in counts
    )
    odd = frozenset(_outliers(blocks, warm))
    frame = Frame(blocks, middles, warm, odd, 1.0)
    offs = [
        abs(frame.off(repeat.latency_s, block.side))
        for index, block in enumerate(blocks)
        for place, repeat in enumerate(block.repeats)
        if not block.superseded and (index, place) not in odd
    ]
    return replace(frame, half_range=max((*offs, _MIN_HALF_RANGE)) * 1.1)


def list_calls(blocks: Sequence[Block]) -> list[float]:
    """Return the seconds of all calls of some blocks."""
    return [repeat.latency_s for block in blocks for repeat in block.repeats]


def _outliers(blocks: Sequence[Block], warm: frozenset[int]) -> list[tuple[int, int]]:
    """Return the outliers among the counted calls of each side, as (block, call)."""
    from harness.stats.latency_diagnostics import outliers

    found = []
    for side in SIDES:
        places = [
            (index, place)
            for index, block in enumerate(blocks)
            for place in range(len(block.repeats))
            if block.side == side and not block.superseded and index not in warm
        ]
        calls = [blocks[index].repeats[place].latency_s for index, place in places]
        found += [places[number] for number in outliers(calls)]
    return found


def draw_dots(frame: Frame, most: int) -> dict[str, str]:
    """Return the calls as zero-length strokes, one SVG path a kind: about `most`, all outliers."""
    dots: dict[str, str] = {}
    width, each = 100 / len(frame.blocks), max(1, most // len(frame.blocks))
    for index, block in enumerate(frame.blocks):
        every = math.ceil(len(block.repeats) / each)
        for place, repeat in enumerate(block.repeats):
            odd = (index, place) in frame.odd
            if place % every and not odd:
                continue
            x = (index + (place + 1) / (len(block.repeats) + 1)) * width
            kind = "redone" if block.superseded else "odd" if odd else _CLASSES[block.side]
            y = frame.height(frame.off(repeat.latency_s, block.side))
            dots[kind] = dots.get(kind, "") + f"M{x:.2f} {y:.1f}h0"
    return dots


class Slot(Frozen):
    """The place of one block: left end and width in percent, the class that colours it, words."""

    left: float
    width: float
    kind: str
    text: str


class BlockStrip(Frozen):
    """Calls as dots: in order of time, by their distance from their own side's median."""

    slots: tuple[Slot, ...]
    dots: dict[str, str]
    """Kind of a dot → an SVG path of them all within 100 × 100."""
    ticks: tuple[Tick, ...]
    trend: str
    """For a sandwiched cell: an SVG path from the baseline before to the baseline after."""
    warming: bool
    slowed: bool
    superseded: bool
    outliers: bool
    left_out: str
    fine: bool


def block_strip(cell: Completed, fine: bool) -> BlockStrip | None:
    """Return the drawing of a cell's blocks, each with words if `fine`; None for fewer than two."""
    frame = fit_frame(cell)
    if len(frame.blocks) < 2 or not frame.middles:
        return None
    whole = len(cell.pairing.blocks)
    kinds = [_kind(block, warm=index in frame.warm) for index, block in enumerate(frame.blocks)]
    width = 100 / len(frame.blocks)
    slots = tuple(
        Slot(
            left=round(first * width, 2),
            width=round((last + 1 - first) * width, 2),
            kind=kinds[first],
            text=_words(first, frame) if fine else "",
        )
        for first, last in (
            [(index, index) for index in range(len(kinds))] if fine else _runs(kinds)
        )
    )
    ticks = tuple(
        Tick(
            at=frame.height(tick),
            label=f"{'+' if tick > 0 else ''}{format_share(tick)}" if tick else "0 %",
        )
        for tick in round_ticks(-frame.half_range, frame.half_range, 4)
    )
    return BlockStrip(
        slots=slots,
        dots=draw_dots(frame, _DOTS[fine]),
        ticks=ticks,
        trend=_trend(cell, frame),
        warming=bool(frame.warm),
        slowed=any(block.conditions.slowed for block in frame.blocks),
        outliers=bool(frame.odd),
        superseded=any(block.superseded for block in frame.blocks),
        left_out=f"the first {len(frame.blocks)} of {whole} blocks"
        if whole > len(frame.blocks)
        else "",
        fine=fine,
    )


def _runs(kinds: Sequence[str]) -> list[tuple[int, int]]:
    """Return first and last of each run of blocks that look alike."""
    starts = [index for index, kind in enumerate(kinds) if not index or kind != kinds[index - 1]]
    return list(zip(starts, [start - 1 for start in (*starts[1:], len(kinds))], strict=True))


def _kind(block: Block, warm: bool) -> str:
    kinds = (
        _CLASSES[block.side],
        "warm" if warm else "",
        "redone" if block.superseded else "",
        "slow" if block.conditions.slowed else "",
    )
    return " ".join(kind for kind in kinds if kind)


def _words(index: int, frame: Frame) -> str:
    """Return one block in a line: side, calls, median, state of the machine."""
    block = frame.blocks[index]
    middle = median(list_calls([block])) if block.repeats else 0.0
    off, found = format_share(frame.off(middle, block.side)), block.conditions
    calls, sign = plural(len(block.repeats), "call"), "" if off.startswith("−") else "+"
    words = [
        f"Block {index + 1}, {block.side}, round {block.round_index + 1}: {calls}",
        f"median {format_seconds(middle)} ({sign}{off})",
    ]
    for value, unit in (
        (found.clock_mhz, "MHz"),
        (found.temperature_c, "°C"),
        (found.power_w, "W"),
    ):
        if not isinstance(value, Absent):
            words.append(f"{value:,.0f} {unit}")
    if not isinstance(found.cpu_load, Absent):
        words.append(f"load of other programs {format_share(found.cpu_load)}")
    if found.slowed:
        words.append(f"throttled: {', '.join(found.slowed).replace('_', ' ')}")
    if block.superseded:
        words.append(f"timed again: {block.superseded.replace('_', ' ')}")
    return ", ".join(words)


def _trend(cell: Completed, frame: Frame) -> str:
    """Return the line from the baseline's median before the cell to that after it."""
    mine = [index for index, block in enumerate(frame.blocks) if block.side == "cell"]
    if cell.pairing.kind != "sandwiched" or not mine:
        return ""
    ends = []
    for part in (range(mine[0]), range(mine[-1] + 1, len(frame.blocks))):
        calls = list_calls(
            [frame.blocks[index] for index in part if not frame.blocks[index].superseded]
        )
        if not calls:
            return ""
        x = 100 * (part[0] + part[-1] + 1) / 2 / len(frame.blocks)
        ends.append(f"{x:.2f} {frame.height(frame.off(median(calls), 'baseline')):.1f}")
    return f"M{ends[0]}L{ends[1]}"


class RoundMark(Frozen):
    """One round's own speedup: left end and width, height from the top; `warm`: not counted."""

    left: float
    width: float
    at: float
    warm: bool
    text: str


class RoundLane(Frozen):
    """All rounds; the estimate, the ends of its interval and the ticks are heights from the top."""

    marks: tuple[RoundMark, ...]
    estimate: float
    high: float
    low: float
    ticks: tuple[Tick, ...]


def round_lane(
    cell: Completed, value: Interval, images: tuple[int, int], warming: int
) -> RoundLane | None:
    """Return the speedup of each round of an interleaved cell; `images` are both batch sizes."""
    speeds = _list_speeds(cell, images)
    if cell.pairing.kind != "interleaved" or len(speeds) < 2:
        return None
    counted = list(speeds.values())[warming:] or list(speeds.values())
    low, high = min(*counted, value.low), max(*counted, value.high)
    pad = (high - low) * 0.15 or high * 0.01
    low, high = low - pad, high + pad

    def height(speed: float) -> float:
        return round(100 * min(max((high - speed) / (high - low), 0.03), 0.97), 2)

    rounds = [block.round_index for block in cell.pairing.blocks]
    marks = []
    for number, (round_index, speed) in enumerate(speeds.items()):
        first, count = rounds.index(round_index), rounds.count(round_index)
        warm = number < warming
        text = f"Round {number + 1}: speedup {speed:.3f}×{', warm-up: not counted' if warm else ''}"
        marks.append(
            RoundMark(
                left=round(100 * first / len(rounds), 3),
                width=round(100 * count / len(rounds), 3),
                at=height(speed),
                warm=warm,
                text=text,
            )
        )
    return RoundLane(
        marks=tuple(marks),
        estimate=height(value.estimate),
        high=height(value.high),
        low=height(value.low),
        ticks=tuple(
            Tick(at=height(tick), label=_label(tick, high - low))
            for tick in round_ticks(low, high, 3)
        ),
    )


def _label(speed: float, span: float) -> str:
    return format_factor(speed) if span > 0.03 else f"{speed:.3f}×"


def _list_speeds(cell: Completed, images: tuple[int, int]) -> dict[int, float]:
    """Return round → speedup per image: the geometric mean of its two ratios."""
    from harness.stats.steady_state import round_levels

    theirs, mine = (round_levels(cell.pairing.of(side)) for side in ("baseline", "cell"))
    ratio = images[1] / images[0]
    return {
        round_index: ratio * math.exp(theirs[round_index] - mine[round_index])
        for round_index in sorted(theirs.keys() & mine.keys())
    }
