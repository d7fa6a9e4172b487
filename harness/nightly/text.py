"""Sentences about changes of level in the terminal and in notifications."""

from datetime import timedelta
from itertools import pairwise
from statistics import median

from harness.core.history import LevelChange
from harness.core.units import plural
from harness.history.table import History
from harness.reporting.trend_clock import normalize_levels
from harness.reporting.trend_text import format_level


def state_levels(history: History, change: LevelChange) -> str:
    """Return both levels with their intervals: `1.20 s → 1.32 s since RUN`."""
    shown = normalize_levels(history, change)
    before, after = (format_level(level, change.quantity) for level in (shown.before, shown.after))
    return f"{before} → {after} since {change.since}"


def state_decision(history: History, change: LevelChange) -> str:
    """Return by which night a suspected change is decided."""
    if change.decided_in_nights is None:
        return "More nights are needed to decide it."
    nights = history.nights_on(change.machine)
    distances = [(after.time - before.time) for before, after in pairwise(nights)]
    usual = median(d.total_seconds() for d in distances) if distances else 86_400.0
    by = nights[-1].time + timedelta(seconds=usual) * change.decided_in_nights
    return f"Decided by the night of {by:%d %B %Y}, in {plural(change.decided_in_nights, 'night')}."
