"""How many calls make a block, and when enough blocks were taken."""

from math import ceil

from harness.core.matrix import Measure
from harness.core.timing import BLOCK_S, MIN_ROUNDS_FOR_INTERVAL, Pairing
from harness.core.units import format_percent, format_seconds
from harness.execution.task import Notify, WorkerProgress
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, precise

MOST_CALLS = 50


def count_calls(call_s: float, measure: Measure) -> int:
    """Return how many calls make a block: so few that twice the groups a verdict needs fit into the most time."""
    block_s = min(BLOCK_S, measure.max_s / (8 * MIN_ROUNDS_FOR_VERDICT))
    return max(1, min(MOST_CALLS, ceil(block_s / call_s))) if call_s > 0 else 1


class StoppingRule:
    """The precision asked for, within the time given; `notify` hears how much of it is over and what was reached."""

    def __init__(self, measure: Measure, notify: Notify) -> None:
        self.measure, self._notify = measure, notify

    def part(self, time: float, precision: float) -> "StoppingRule":
        """Return the goal of a part: reached after this share of the time at most, or in this share of the width."""
        whole = self.measure
        update = {"precision": precision * whole.precision, "min_s": time * whole.min_s, "max_s": time * whole.max_s}
        return StoppingRule(whole.model_copy(update=update), self._notify)

    def reached(self, pairing: Pairing, taken: int, spent_s: float) -> str:
        """Return why no more is taken after `taken` groups (or blocks) and `spent_s` seconds, or '' to go on."""
        width = precise(pairing)
        asked = format_percent(self.measure.precision)
        note = f"block {len(pairing.blocks)}, {_around(width)}wants ±{asked}"
        over = min(100, int(100 * spent_s / self.measure.max_s))
        self._notify(WorkerProgress("repeats", over, 100, note))
        if self._precise(width) and spent_s >= self.measure.min_s and taken >= MIN_ROUNDS_FOR_VERDICT:
            return self._said(width)
        return self._said(width) if spent_s >= self.measure.max_s and taken >= MIN_ROUNDS_FOR_INTERVAL else ""

    def _precise(self, width: float | None) -> bool:
        return width is not None and width <= self.measure.precision

    def _said(self, width: float | None) -> str:
        if self._precise(width):
            return f"{_around(width)}±{format_percent(self.measure.precision)} was asked for"
        return f"{_around(width)}measure.max_s = {format_seconds(self.measure.max_s)} is over"


def _around(width: float | None) -> str:
    return "" if width is None else f"±{format_percent(width)}, "
