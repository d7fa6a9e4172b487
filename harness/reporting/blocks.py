"""The blocks of a cell in the order in which they were timed, its own and the baseline's, drawn in percent."""

from collections.abc import Sequence
from statistics import median

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.timing import Block
from harness.core.units import Absent
from harness.reporting.block_frame import WHOSE, Frame, build_frame, draw_dots, list_calls
from harness.reporting.conditions import slowed
from harness.reporting.forest import Tick
from harness.reporting.strips import round_ticks
from harness.reporting.wording import plural, seconds, share

_DOTS = {True: 900, False: 200}
"""Calls that are drawn, on a page with few cells or with many."""


class Slot(Frozen):
    """The place of one block: its left end and width in percent, what befell it, and its words."""

    left: float
    width: float
    kind: str
    text: str


class BlockStrip(Frozen):
    """Calls as dots: across in order of time, up by how far they lie from their own side's median."""

    slots: tuple[Slot, ...]
    dots: dict[str, str]
    """Kind of a dot → an SVG path of them all within 100 × 100."""
    ticks: tuple[Tick, ...]
    trend: str
    """Where the baseline was timed before and after: an SVG path from the one to the other."""
    warming: bool
    slowed: bool
    superseded: bool
    outliers: bool
    left_out: str
    fine: bool


def block_strip(cell: Completed, fine: bool) -> BlockStrip | None:
    """Return the drawing of a cell's blocks, each said in words if `fine`; None where there are fewer than two."""
    frame = build_frame(cell)
    if len(frame.blocks) < 2 or not frame.middles:
        return None
    whole = len(cell.pairing.blocks)
    kinds = [_kind(block, warm=index in frame.warm) for index, block in enumerate(frame.blocks)]
    width = 100 / len(frame.blocks)
    slots = tuple(
        Slot(left=round(first * width, 2), width=round((last + 1 - first) * width, 2), kind=kinds[first],
             text=_words(first, frame) if fine else "")
        for first, last in ([(index, index) for index in range(len(kinds))] if fine else _runs(kinds))
    )  # fmt: skip
    ticks = tuple(
        Tick(at=frame.height(tick), label=f"{'+' if tick > 0 else ''}{share(tick)}" if tick else "0 %")
        for tick in round_ticks(-frame.half_range, frame.half_range, 4)
    )
    return BlockStrip(
        slots=slots, dots=draw_dots(frame, _DOTS[fine]), ticks=ticks, trend=_trend(cell, frame),
        warming=bool(frame.warm),
        slowed=any(slowed(block) for block in frame.blocks), outliers=bool(frame.odd),
        superseded=any(block.superseded for block in frame.blocks),
        left_out=f"the first {len(frame.blocks)} of {whole} blocks" if whole > len(frame.blocks) else "", fine=fine,
    )  # fmt: skip


def _runs(kinds: Sequence[str]) -> list[tuple[int, int]]:
    """Return first and last of each run of blocks that look alike."""
    starts = [index for index, kind in enumerate(kinds) if not index or kind != kinds[index - 1]]
    return list(zip(starts, [start - 1 for start in (*starts[1:], len(kinds))], strict=True))


def _kind(block: Block, warm: bool) -> str:
    kinds = (
        WHOSE[block.side],
        "warm" if warm else "",
        "redone" if block.superseded else "",
        "slow" if slowed(block) else "",
    )
    return " ".join(kind for kind in kinds if kind)


def _words(index: int, frame: Frame) -> str:
    """Return one block in a line: whose, how long, how far off, in what state the machine was."""
    block = frame.blocks[index]
    middle = median(list_calls([block])) if block.repeats else 0.0
    off, found = share(frame.off(middle, block.side)), block.conditions
    words = [f"Block {index + 1}, {block.side}, group {block.round_index + 1}: {plural(len(block.repeats), 'call')}",
             f"median {seconds(middle)} ({off if off.startswith('−') else '+' + off})"]  # fmt: skip
    for value, unit in ((found.clock_mhz, "MHz"), (found.temperature_c, "°C"), (found.power_w, "W")):
        if not isinstance(value, Absent):
            words.append(f"{value:,.0f} {unit}")
    if not isinstance(found.cpu_load, Absent):
        words.append(f"load of other programs {share(found.cpu_load)}")
    words += [f"slowed: {', '.join(slowed(block))}"] if slowed(block) else []
    return ", ".join(
        [*words, *([f"timed once more: {block.superseded.replace('_', ' ')}"] if block.superseded else [])]
    )


def _trend(cell: Completed, frame: Frame) -> str:
    """Return the line from the baseline's median before the cell to that after it."""
    mine = [index for index, block in enumerate(frame.blocks) if block.side == "cell"]
    if cell.pairing.kind != "sandwiched" or not mine:
        return ""
    ends = []
    for part in (range(mine[0]), range(mine[-1] + 1, len(frame.blocks))):
        calls = list_calls([frame.blocks[index] for index in part if not frame.blocks[index].superseded])
        if not calls:
            return ""
        x = 100 * (part[0] + part[-1] + 1) / 2 / len(frame.blocks)
        ends.append(f"{x:.2f} {frame.height(frame.off(median(calls), 'baseline')):.1f}")
    return f"M{ends[0]}L{ends[1]}"
