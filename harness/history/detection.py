"""Changes of level in a history: the newest nights against those before, by Student's t."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.core.history import Level, LevelChange, NightlyBudget
from harness.history.quantities import LATENCY, find_quantity
from harness.history.table import History, Series

LEAST = 10
"""Nights before a change that a level must rest on."""
_LAGS = (3, 5, 10, 20)
_FLOOR = {"relative": 0.002, "absolute": 0.0005}
"""The least scale of a series: some figures are the same every night."""


def detect(history: History, budget: NightlyBudget) -> tuple[LevelChange, ...]:
    """Return the changes of level of every series, those of the machine with an empty cell."""
    found: list[LevelChange] = []
    for machine in history.machines:
        series = [_prepare(history, one) for one in history.all_series(machine)]
        rate = _compute_rate(budget, len(series))
        for one in series:
            found += _walk(history, one, rate)
    return tuple(found)


def _prepare(history: History, series: Series) -> Series:
    baseline = history.baseline(series.machine)
    if series.quantity == LATENCY and series.cell != baseline:
        return history.relative_latency(series.machine, series.cell)
    is_machine = series.quantity == LATENCY and series.cell == baseline
    return series._replace(cell="") if is_machine else series


def _compute_rate(budget: NightlyBudget, series: int) -> float:
    """Return the error rate of one test at which all series and lags together keep the budget."""
    return budget.per_night / max(series * len(_LAGS) * 2, 1)


def _walk(history: History, series: Series, rate: float) -> Iterator[LevelChange]:
    """Yield the changes in the order of the nights; after each the level begins anew."""
    start, night = 0, LEAST
    while night < series.values.size:
        lag = _find_lag(series, start, night, rate)
        if lag is not None:
            yield _make_change(history, series, (start, night - lag + 1, night))
            start = night - lag + 1
        night += 1


def _find_lag(series: Series, start: int, night: int, rate: float) -> int | None:
    from scipy.special import stdtrit

    for lag in _LAGS:
        cut = night - lag + 1
        if cut - start >= LEAST:
            before, after = series.values[start:cut], series.values[cut : night + 1]
            scale = _measure_scale(series, before) * np.sqrt(1 / lag + 1 / before.size)
            limit = -float(stdtrit(before.size - 1, rate))
            if abs(np.median(after) - np.median(before)) > limit * scale:
                return lag
    return None


def _measure_scale(series: Series, before: NDArray[np.float64]) -> float:
    kind = find_quantity(series.quantity).scale
    level = float(np.median(before))
    spread = 1.4826 * float(np.median(np.abs(before - level)))
    deviation = float(np.std(before, ddof=1)) if before.size > 1 else 0.0
    return max(spread, deviation, _FLOOR[kind] * (abs(level) if kind == "relative" else 1.0))


def _make_change(history: History, series: Series, cuts: tuple[int, int, int]) -> LevelChange:
    start, cut, night = cuts
    before, after = (_make_level(series, *ends) for ends in ((start, cut), (cut, night + 1)))
    since, found = str(series.runs[cut]), str(series.runs[night])
    newest = str(series.runs[-1])
    words = (history.lineage, series.machine, series.cell or "machine", series.quantity, since)
    return LevelChange(
        id="/".join(words).replace(" ", "-"),
        machine=series.machine,
        cell=series.cell,
        quantity=series.quantity,
        since=since,
        found=found,
        before=before,
        after=after,
        direction="worse" if after.estimate > before.estimate else "better",
        state="new" if found == newest else "known",
    )


def _make_level(series: Series, start: int, end: int) -> Level:
    values = series.values[start:end]
    level = float(np.median(values))
    half = 1.96 * _measure_scale(series, values) / float(np.sqrt(values.size))
    return Level(estimate=level, low=level - half, high=level + half, nights=values.size)
