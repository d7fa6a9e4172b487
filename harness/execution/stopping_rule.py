"""When enough measurement rounds were taken, and how many calls make a block."""

from math import ceil

from harness.core.matrix import Measure
from harness.core.timing import BLOCK_S, MIN_ROUNDS_FOR_INTERVAL, Pairing
from harness.core.units import format_percent, format_seconds
from harness.execution.task import Notify, WorkerProgress
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, precise

MOST_CALLS = 50


def count_calls(call_s: float, measure: Measure) -> int:
    """Return the calls of a block: twice the rounds of a verdict fit into measure.max_s."""
    block_s = min(BLOCK_S, measure.max_s / (8 * MIN_ROUNDS_FOR_VERDICT))
    return max(1, min(MOST_CALLS, ceil(block_s / call_s))) if call_s > 0 else 1


class StoppingRule:
    """Stops when the figure is as precise as measure.precision, or when measure.max_s is over."""

    def __init__(self, measure: Measure, notify: Notify) -> None:
        self.measure, self._notify = measure, notify

    def scale(self, time: float, precision: float) -> "StoppingRule":
        """Return the rule for a part of the measurement: shares of the time and of the width."""
        whole = self.measure
        limits = {"min_s": time * whole.min_s, "max_s": time * whole.max_s}
        update = {**limits, "precision": precision * whole.precision}
        return StoppingRule(whole.model_copy(update=update), self._notify)

    def check(self, pairing: Pairing, taken: int, spent_s: float) -> str:
        """Return why to stop after `taken` rounds (or blocks) and `spent_s` seconds, or ''."""
        measure, width = self.measure, precise(pairing)
        around = "" if width is None else f"±{format_percent(width)}, "
        wanted = f"±{format_percent(measure.precision)}"
        share = min(100, int(100 * spent_s / measure.max_s))
        note = f"block {len(pairing.blocks)}, {around}wants {wanted}"
        self._notify(WorkerProgress("repeats", share, 100, note))
        narrow = width is not None and width <= measure.precision
        enough = narrow and spent_s >= measure.min_s and taken >= MIN_ROUNDS_FOR_VERDICT
        over = spent_s >= measure.max_s and taken >= MIN_ROUNDS_FOR_INTERVAL
        if not (enough or over):
            return ""
        if narrow:
            return f"{around}{wanted} requested"
        return f"{around}measure.max_s = {format_seconds(measure.max_s)} is over"
