"""The scale that a cell's blocks are drawn to, and their calls as dots."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.core.outcome import Completed
from harness.core.timing import Block, Side

SIDES: tuple[Side, ...] = ("baseline", "cell")
WHOSE: dict[Side, str] = {"baseline": "theirs", "cell": "mine"}
_MOST = 240
"""Blocks that are drawn: a phone has no room for more."""
_MIN_HALF_RANGE = 0.01
_EDGE = 4.0


@dataclass(frozen=True)
class Frame:
    """What a drawing is scaled by: the blocks, each side's median warm call, which calls are outliers, the reach.

    `warm` are the numbers of the blocks that were still warming up. Outliers are (number of the block, number of the
    call); what lies beyond `half_range` is drawn at the edge.
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


def build_frame(cell: Completed) -> Frame:
    """Return the scale of a cell's blocks; those that were still warming up have no outliers."""
    from harness.stats.steady_state import steady_blocks

    blocks = cell.pairing.blocks[:_MOST]
    steady = {side: steady_blocks(cell.pairing, side) for side in SIDES}
    middles = {side: median(list_calls(counted)) for side, counted in steady.items() if counted}
    counts = {id(block) for counted in steady.values() for block in counted}
    warm = frozenset(index for index, block in enumerate(blocks) if not block.superseded and id(block) not in counts)
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
    """Return the calls that are outliers among their own side's in the blocks that count, as (block, call)."""
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
    """Return the calls as zero-length strokes, one SVG path for each kind: about `most`, and every outlier."""
    dots: dict[str, str] = {}
    width, limits = 100 / len(frame.blocks), max(1, most // len(frame.blocks))
    for index, block in enumerate(frame.blocks):
        every = math.ceil(len(block.repeats) / limits)
        for place, repeat in enumerate(block.repeats):
            odd = (index, place) in frame.odd
            if place % every and not odd:
                continue
            x = (index + (place + 1) / (len(block.repeats) + 1)) * width
            kind = "redone" if block.superseded else "odd" if odd else WHOSE[block.side]
            y = frame.height(frame.off(repeat.latency_s, block.side))
            dots[kind] = dots.get(kind, "") + f"M{x:.2f} {y:.1f}h0"
    return dots
