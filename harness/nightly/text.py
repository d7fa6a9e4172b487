"""Sentences about changes of level in the terminal and in notifications."""

from datetime import timedelta
from itertools import pairwise
from statistics import median

from harness.core.history import Level, LevelChange
from harness.core.units import plural
from harness.history.quantities import find_quantity
from harness.history.table import History
from harness.results.format import bracket, format_value


def state_levels(change: LevelChange) -> str:
    """Return both levels with their intervals: `1.20 s → 1.32 s since RUN`."""
    before, after = (_write_level(level, change) for level in (change.before, change.after))
    return f"{before} → {after} since {change.since}"


def _write_level(level: Level, change: LevelChange) -> str:
    quantity = find_quantity(change.quantity)
    return bracket(*(format_value(end, quantity.unit) for end in
                     (level.estimate, level.low, level.high)))  # fmt: skip


def state_decision(history: History, change: LevelChange) -> str:
    """Return by which night a suspected change is decided."""
    if change.decided_in_nights is None:
        return "More nights are needed to decide it."
    nights = history.nights_on(change.machine)
    distances = [(after.time - before.time) for before, after in pairwise(nights)]
    usual = median(d.total_seconds() for d in distances) if distances else 86_400.0
    by = nights[-1].time + timedelta(seconds=usual) * change.decided_in_nights
    return f"Decided by the night of {by:%d %B %Y}, in {plural(change.decided_in_nights, 'night')}."
