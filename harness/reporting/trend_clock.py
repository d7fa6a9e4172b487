"""Latencies on the present clock of the machine, so that a change of the machine moves no cell."""

import numpy as np

from harness.core.history import Level, LevelChange
from harness.history.quantities import LATENCY
from harness.history.table import History, Series

_PRESENT_NIGHTS = 15
_CLOSE = 0.02
"""Levels that are this near to the drawn values are stated as they are."""


def normalize(history: History, series: Series) -> Series:
    """Return a candidate's latencies as ratios to the baseline times its present seconds.

    Other series, and latencies of nights without a baseline, stay as they are.
    """
    baseline = history.baseline(series.machine)
    if series.quantity != LATENCY or series.cell == baseline:
        return series
    ratio = history.relative_latency(series.machine, series.cell)
    if not ratio.values.size:
        return series
    present = history.series(series.machine, baseline, LATENCY).values[-_PRESENT_NIGHTS:]
    clock = float(np.median(present))
    return ratio._replace(
        values=clock * ratio.values, low=clock * ratio.low, high=clock * ratio.high
    )


def normalize_levels(history: History, change: LevelChange) -> LevelChange:
    """Return a change of a candidate's latency with its levels in the seconds of `normalize`.

    Detection may state them as ratios, or in the seconds of another time.
    """
    if change.quantity != LATENCY or change.cell in ("", history.baseline(change.machine)):
        return change
    drawn = normalize(history, history.series(change.machine, change.cell, LATENCY))
    here = np.flatnonzero(drawn.runs == change.since)
    if not here.size or not change.after.estimate:
        return change
    first = int(here[0])
    values = drawn.values[first : first + max(change.after.nights, 1)]
    factor = float(np.median(values)) / change.after.estimate
    if abs(factor - 1) < _CLOSE:
        return change
    before, after = (_scale(level, factor) for level in (change.before, change.after))
    return change.model_copy(update={"before": before, "after": after})


def _scale(level: Level, factor: float) -> Level:
    ends = (level.estimate, level.low, level.high)
    estimate, low, high = (factor * end for end in ends)
    return Level(estimate=estimate, low=low, high=high, nights=level.nights)
