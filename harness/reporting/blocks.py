"""The timed blocks of a cell, drawn in order of time in percent: calls, rounds and speedups."""

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import median
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.quality import Interval
from harness.core.timing import Block, Side
from harness.core.units import Absent, format_seconds, plural
from harness.reporting.parts import Tick, round_ticks
from harness.results.format import format_factor, format_share

_CLASSES: dict[Side, str] = {"baseline": "theirs", "cell": "mine"}
_MAX_BLOCKS = 240
"""Blocks that are drawn: as many as fit on a phone."""
_MIN_HALF_RANGE = 0.01
_EDGE = 4.0
_DOTS = {True: 900, False: 200}
"""Calls that are drawn, on a page with few cells or with many."""


class Mark(Frozen):
    """A block or a round: left end and width in percent, the classes that colour it, its words.

    `at` is the height of a round's speedup from the top.
    """

    left: float
    width: float
    kind: str
    text: str
    at: float = 0.0


class BlockStrip(Frozen):
    """Calls as dots: in order of time, by their distance from their own side's median."""

    slots: tuple[Mark, ...]
    dots: dict[str, str]
    """Kind of a dot → an SVG path of them all within 100 × 100."""
    ticks: tuple[Tick, ...]
    trend: str
    """For a sandwiched cell: an SVG path from the baseline before to the baseline after."""
    kinds: frozenset[str]
    """What the legend explains: warm, slow, redone, odd."""
    left_out: str
    fine: bool


class RoundLane(Frozen):
    """All rounds; the estimate, the ends of its interval and the ticks are heights from the top."""

    marks: tuple[Mark, ...]
    estimate: float
    high: float
    low: float
    ticks: tuple[Tick, ...]


class _Call(NamedTuple):
    """One timed call: its block, its place in it, and its distance from its side's median."""

    block: int
    place: int
    off: float


class _Scale(NamedTuple):
    """Half of the range of distances that a drawing shows."""

    half: float

    def height(self, off: float) -> float:
        """Return where a distance stands, in percent from the top; those beyond at the edge."""
        return round(min(max(50 * (1 - off / self.half), _EDGE), 100 - _EDGE), 2)


def block_strip(cell: Completed, fine: bool) -> BlockStrip | None:
    """Return the drawing of a cell's blocks, each with words if `fine`; None for fewer than two."""
    from harness.stats.steady_state import steady_blocks

    blocks, total = cell.pairing.blocks[:_MAX_BLOCKS], len(cell.pairing.blocks)
    steady = {side: steady_blocks(cell.pairing, side) for side in _CLASSES}
    middles = {side: median(list_calls(counted)) for side, counted in steady.items() if counted}
    if len(blocks) < 2 or not middles:
        return None
    counted = {id(block) for found in steady.values() for block in found}
    kinds = [_classify(block, id(block) in counted) for block in blocks]
    calls = [
        _Call(index, place, _measure_off(repeat.latency_s, middles.get(block.side)))
        for index, block in enumerate(blocks)
        for place, repeat in enumerate(block.repeats)
    ]
    odd = _find_outliers(blocks, [id(block) in counted for block in blocks])
    shown = [abs(c.off) for c in calls if not blocks[c.block].superseded and c[:2] not in odd]
    scale = _Scale(max((*shown, _MIN_HALF_RANGE)) * 1.1)
    texts = [_describe(i, b, middles.get(b.side)) if fine else "" for i, b in enumerate(blocks)]
    ticks = round_ticks(-scale.half, scale.half, 4)
    left_out = f"the first {len(blocks)} of {total} blocks" if total > len(blocks) else ""
    return BlockStrip(
        slots=_place_slots(kinds, texts, fine),
        dots=_draw_dots(blocks, calls, odd, scale, _DOTS[fine]),
        ticks=tuple(Tick(at=scale.height(tick), label=_label_off(tick)) for tick in ticks),
        trend=_draw_trend(cell, blocks, middles.get("baseline"), scale),
        kinds=frozenset(" ".join(kinds).split()) | ({"odd"} if odd else set()),
        left_out=left_out,
        fine=fine,
    )


def list_calls(blocks: Sequence[Block]) -> list[float]:
    """Return the seconds of all calls of some blocks."""
    return [repeat.latency_s for block in blocks for repeat in block.repeats]


def _measure_off(latency_s: float, middle: float | None) -> float:
    """Return the distance of a call from its side's median, as a share of it."""
    return latency_s / middle - 1 if middle else 0.0


def _label_off(off: float) -> str:
    return f"{'+' if off > 0 else ''}{format_share(off)}" if off else "0 %"


def _classify(block: Block, is_counted: bool) -> str:
    found = {
        _CLASSES[block.side]: True,
        "warm": not is_counted and not block.superseded,
        "redone": bool(block.superseded),
        "slow": bool(block.conditions.slowed),
    }
    return " ".join(name for name, applies in found.items() if applies)


def _find_outliers(blocks: Sequence[Block], counted: Sequence[bool]) -> set[tuple[int, int]]:
    """Return the outliers among the counted calls of each side, as (block, call)."""
    from harness.stats.latency_diagnostics import outliers

    found: set[tuple[int, int]] = set()
    for side in _CLASSES:
        indices = [i for i, block in enumerate(blocks) if block.side == side and counted[i]]
        places = [
            (index, place) for index in indices for place in range(len(blocks[index].repeats))
        ]
        calls = list_calls([blocks[index] for index in indices])
        found |= {places[number] for number in outliers(calls)}
    return found


def _place_slots(kinds: Sequence[str], texts: Sequence[str], fine: bool) -> tuple[Mark, ...]:
    """Return a slot per block; if not fine, one per run of blocks of the same kind."""
    numbered = list(enumerate(kinds))
    runs = (
        [[item] for item in numbered]
        if fine
        else [list(g) for _, g in groupby(numbered, lambda item: item[1])]
    )
    width = 100 / len(kinds)
    return tuple(
        Mark(
            left=round(run[0][0] * width, 2),
            width=round(len(run) * width, 2),
            kind=run[0][1],
            text=texts[run[0][0]],
        )
        for run in runs
    )


def _draw_dots(
    blocks: Sequence[Block],
    calls: Sequence[_Call],
    odd: set[tuple[int, int]],
    scale: _Scale,
    most: int,
) -> dict[str, str]:
    """Return the calls as zero-length strokes, one SVG path a kind: about `most`, all outliers."""
    dots: dict[str, str] = {}
    width, each = 100 / len(blocks), max(1, most // len(blocks))
    for call in calls:
        block, is_odd = blocks[call.block], call[:2] in odd
        if call.place % math.ceil(len(block.repeats) / each) and not is_odd:
            continue
        x = (call.block + (call.place + 1) / (len(block.repeats) + 1)) * width
        kind = "redone" if block.superseded else "odd" if is_odd else _CLASSES[block.side]
        dots[kind] = dots.get(kind, "") + f"M{x:.2f} {scale.height(call.off):.1f}h0"
    return dots


def _describe(index: int, block: Block, side_s: float | None) -> str:
    """Return one block in a line: side, calls, median, state of the machine."""
    middle = median(list_calls([block])) if block.repeats else 0.0
    off, state = format_share(_measure_off(middle, side_s)), block.conditions
    sign = "" if off.startswith("−") else "+"
    calls = plural(len(block.repeats), "call")
    words = [f"Block {index + 1}, {block.side}, round {block.round_index + 1}: {calls}"]
    words.append(f"median {format_seconds(middle)} ({sign}{off})")
    known = {"MHz": state.clock_mhz, "°C": state.temperature_c, "W": state.power_w}
    words += [f"{x:,.0f} {unit}" for unit, x in known.items() if not isinstance(x, Absent)]
    if not isinstance(state.cpu_load, Absent):
        words.append(f"load of other programs {format_share(state.cpu_load)}")
    if state.slowed:
        words.append(f"throttled: {', '.join(state.slowed).replace('_', ' ')}")
    if block.superseded:
        words.append(f"timed again: {block.superseded.replace('_', ' ')}")
    return ", ".join(words)


def _draw_trend(
    cell: Completed, blocks: Sequence[Block], baseline_s: float | None, scale: _Scale
) -> str:
    """Return the line from the baseline's median before a sandwiched cell to that after it."""
    mine = [index for index, block in enumerate(blocks) if block.side == "cell"]
    if cell.pairing.kind != "sandwiched" or not mine:
        return ""
    ends = []
    for part in (range(mine[0]), range(mine[-1] + 1, len(blocks))):
        calls = list_calls([blocks[index] for index in part if not blocks[index].superseded])
        if not calls:
            return ""
        x = 100 * (part[0] + part[-1] + 1) / 2 / len(blocks)
        ends.append(f"{x:.2f} {scale.height(_measure_off(median(calls), baseline_s)):.1f}")
    return f"M{ends[0]}L{ends[1]}"


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

    def label(speed: float) -> str:
        return format_factor(speed) if high - low > 0.03 else f"{speed:.3f}×"

    rounds, marks = [block.round_index for block in cell.pairing.blocks], []
    for number, (index, speed) in enumerate(speeds.items()):
        left, width = (100 * n / len(rounds) for n in (rounds.index(index), rounds.count(index)))
        warm, note = ("warm", ", warm-up: not counted") if number < warming else ("", "")
        text = f"Round {number + 1}: speedup {speed:.3f}×{note}"
        sizes = {"left": round(left, 3), "width": round(width, 3), "at": height(speed)}
        marks.append(Mark(kind=warm, text=text, **sizes))
    ticks = round_ticks(low, high, 3)
    return RoundLane(
        marks=tuple(marks),
        estimate=height(value.estimate),
        high=height(value.high),
        low=height(value.low),
        ticks=tuple(Tick(at=height(tick), label=label(tick)) for tick in ticks),
    )


def _list_speeds(cell: Completed, images: tuple[int, int]) -> dict[int, float]:
    """Return round → speedup per image: the geometric mean of its two ratios."""
    from harness.stats.steady_state import round_levels

    theirs, mine = (round_levels(cell.pairing.of(side)) for side in _CLASSES)
    ratio, shared = images[1] / images[0], sorted(theirs.keys() & mine.keys())
    return {index: ratio * math.exp(theirs[index] - mine[index]) for index in shared}
