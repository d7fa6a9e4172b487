"""Diagnostics of a series of latencies: outliers, two levels, drift."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

_LEAST_FOR_OUTLIERS = 5
_FENCE = 3.0
"""Tukey's far fence: this many interquartile ranges beyond a quartile ("Exploratory Data Analysis",
1977, ch. 2)."""
_OUTER_FENCE = 5.0
"""Least distance of an outlier from the median, in standard deviations by the MAD: the quartile
range of few values may be too short."""


def outliers(values: ArrayLike) -> tuple[int, ...]:
    """Return the indices of outliers among positive values (n,), in order.

    None among fewer than five. On logarithms, since latencies are skewed: beyond Tukey's far fence,
    and five standard deviations from the median. Outliers are shown, never dropped.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    if logs.size < _LEAST_FOR_OUTLIERS:
        return ()
    low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75])
    apart = np.abs(logs - middle)
    fence = _FENCE * (high - low)
    far = (logs > high + fence) | (logs < low - fence)
    return tuple(
        int(place)
        for place in np.flatnonzero(far & (apart > _OUTER_FENCE * 1.4826 * np.median(apart)))
    )


Floats = NDArray[np.float64]

_LEAST_FOR_MODES = 10
_LEAST_SHARE = 0.2
"""A smaller share of the values are outliers, not a level."""
_MOST = 200
"""More values than this are represented by as many quantiles."""
_LEVEL = 0.01
_SAMPLES = 2000


class Modes(NamedTuple):
    """Two levels in the values' unit, and the share of the values at the lower one."""

    low: float
    high: float
    low_share: float


def modes(values: ArrayLike) -> Modes | None:
    """Return the two levels of positive values (n,), or None where one level explains them.

    Two levels, such as two clocks, make a median meaningless. The logarithms are cut where most of
    their variance lies between both groups (Fisher 1958, Otsu 1979). They are two levels where the
    gap, in standard deviations of a group (Ashman, Bird & Zepf 1994, their D), is wider than in 99
    of 100 draws of a uniform distribution, whose halves are about the furthest apart of all
    distributions with one level.
    """
    logs = np.sort(np.log(np.asarray(values, dtype=np.float64)))
    if logs.size < _LEAST_FOR_MODES:
        return None
    if logs.size > _MOST:
        logs = np.quantile(logs, (np.arange(_MOST) + 0.5) / _MOST)
    cuts, apart = _apart(logs[None, :])
    if logs[0] == logs[-1] or apart[0] <= _limit(logs.size):
        return None
    cut = int(cuts[0])
    low, high = (float(np.exp(np.median(part))) for part in (logs[:cut], logs[cut:]))
    return Modes(low, high, cut / logs.size)


def _apart(rows: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Return the lower group's size and the gap between groups, for sorted rows (rows, n)."""
    n = rows.shape[1]
    least = max(3, int(np.ceil(_LEAST_SHARE * n)))
    counts = np.arange(least, n - least + 1)
    sums, squares = rows.cumsum(axis=1), (rows**2).cumsum(axis=1)
    low = sums[:, counts - 1] / counts
    high = (sums[:, -1:] - sums[:, counts - 1]) / (n - counts)
    best = (counts * (n - counts) * (high - low) ** 2).argmax(axis=1)
    row, taken = np.arange(len(rows)), counts[best]
    low, high = low[row, best], high[row, best]
    within_low = squares[row, taken - 1] / taken - low**2
    within_high = (squares[:, -1] - squares[row, taken - 1]) / (n - taken) - high**2
    within = np.maximum((within_low + within_high) / 2, 0.0)
    gap = high - low
    return taken, np.divide(gap, np.sqrt(within), out=np.full_like(gap, np.inf), where=within > 0)


@lru_cache(maxsize=64)
def _limit(n: int) -> float:
    """Return the gap that one level of n values exceeds in 1 of 100 draws."""
    draws = np.sort(np.random.default_rng(n).random((_SAMPLES, n)), axis=1)
    return float(np.quantile(_apart(draws)[1], 1 - _LEVEL))


_LEAST_FOR_DRIFT = 8
_DRIFT_LEVEL = 0.01
"""Significance level, below the usual 5 %: consecutive latencies are correlated, so the test errs
more often than its level."""


class Drift(NamedTuple):
    """How much slower the end is than the beginning (`share`, negative: faster), with p-value."""

    share: float
    p_value: float


def drift(at_s: ArrayLike, values: ArrayLike) -> Drift | None:
    """Return the drift of positive values (n,) measured at times at_s (n,), or None without one.

    The slope of the logarithms is Theil and Sen's, the median of the slopes of all pairs (Sen
    1968); it is significant by Mann and Kendall's test, Kendall's τ between value and time. None
    for fewer than eight values.
    """
    from scipy.stats import kendalltau, theilslopes

    times, logs = np.asarray(at_s, dtype=np.float64), np.log(np.asarray(values, dtype=np.float64))
    if logs.size < _LEAST_FOR_DRIFT or np.ptp(logs) == 0 or np.ptp(times) == 0:
        return None
    p_value = float(kendalltau(times, logs).pvalue)
    if p_value > _DRIFT_LEVEL:
        return None
    slope = float(theilslopes(logs, times)[0])
    return Drift(float(np.expm1(slope * np.ptp(times))), p_value)
