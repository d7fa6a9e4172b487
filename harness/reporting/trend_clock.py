"""Latencies on the present clock of the machine, so that a change of the machine moves no cell."""

import numpy as np

from harness.core.history import Level, LevelChange
from harness.history.quantities import LATENCY
from harness.history.table import History, Series

_PRESENT_NIGHTS = 15


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
    clock = _read_clock(history, series.machine)
    return ratio._replace(
        values=clock * ratio.values, low=clock * ratio.low, high=clock * ratio.high
    )


def normalize_levels(history: History, change: LevelChange) -> LevelChange:
    """Return a change of a candidate's latency with its levels in the seconds of `normalize`.

    Detection states them as ratios to the baseline; levels in seconds stay as they are.
    """
    if change.quantity != LATENCY or change.cell in ("", history.baseline(change.machine)):
        return change
    ratio = history.relative_latency(change.machine, change.cell).values
    if not ratio.size or not change.after.estimate:
        return change
    clock = _read_clock(history, change.machine)
    usual = float(np.median(ratio))
    is_ratio = _distance(change.after.estimate, usual) <= _distance(
        change.after.estimate, usual * clock
    )
    if not is_ratio:
        return change
    before, after = (_scale(level, clock) for level in (change.before, change.after))
    return change.model_copy(update={"before": before, "after": after})


def _read_clock(history: History, machine: str) -> float:
    """Return the baseline's median seconds in the newest nights of a machine."""
    baseline = history.baseline(machine)
    present = history.series(machine, baseline, LATENCY).values[-_PRESENT_NIGHTS:]
    return float(np.median(present))


def _distance(first: float, second: float) -> float:
    return abs(float(np.log(first / second)))


def _scale(level: Level, factor: float) -> Level:
    ends = (level.estimate, level.low, level.high)
    estimate, low, high = (factor * end for end in ends)
    return Level(estimate=estimate, low=low, high=high, nights=level.nights)
