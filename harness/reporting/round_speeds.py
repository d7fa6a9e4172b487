"""The speedup in each ABBA group beside that of them all, drawn in percent under the blocks."""

import math

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.quality import Interval
from harness.reporting.forest import Tick
from harness.reporting.strips import round_ticks
from harness.reporting.wording import factor


class RoundMark(Frozen):
    """One group's own speedup: its left end and width, its height from the top, whether it counts, and its words."""

    left: float
    width: float
    at: float
    warm: bool
    text: str


class RoundLane(Frozen):
    """All groups; the estimate, the ends of its interval and the ticks are heights from the top."""

    marks: tuple[RoundMark, ...]
    estimate: float
    high: float
    low: float
    ticks: tuple[Tick, ...]


def round_lane(cell: Completed, value: Interval, images: tuple[int, int], warming: int) -> RoundLane | None:
    """Return the speedup of each group of an interleaved cell; `images` are the baseline's and the cell's batches."""
    speeds = _speeds(cell, images)
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
        text = f"Group {number + 1}: speedup {speed:.3f}×{', still warming up: not counted' if warm else ''}"
        marks.append(RoundMark(left=round(100 * first / len(rounds), 3), width=round(100 * count / len(rounds), 3),
                               at=height(speed), warm=warm, text=text))  # fmt: skip
    return RoundLane(
        marks=tuple(marks), estimate=height(value.estimate), high=height(value.high), low=height(value.low),
        ticks=tuple(Tick(at=height(tick), label=_label(tick, high - low)) for tick in round_ticks(low, high, 3)),
    )  # fmt: skip


def _label(speed: float, span: float) -> str:
    return factor(speed) if span > 0.03 else f"{speed:.3f}×"


def _speeds(cell: Completed, images: tuple[int, int]) -> dict[int, float]:
    """Return group → speedup per image: the geometric mean of its two ratios, in which a steady drift cancels."""
    from harness.stats.steady_state import round_levels

    theirs, mine = (round_levels(cell.pairing.of(side)) for side in ("baseline", "cell"))
    ratio = images[1] / images[0]
    return {
        round_index: ratio * math.exp(theirs[round_index] - mine[round_index])
        for round_index in sorted(theirs.keys() & mine.keys())
    }
