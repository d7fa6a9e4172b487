"""Confidence distributions: bounds at every level and p-values at any margin, from one table.

`Uncertainty.quantiles[i]` is the upper confidence bound at one-sided level `levels[i]`; the lower
bound at level q is the upper bound at 1 − q. See Schweder & Hjort, "Confidence, Likelihood,
Probability" (2016), chapter 3.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.quality import Interval, Uncertainty

Floats = NDArray[np.float64]


def _levels() -> Floats:
    tail = np.concatenate(
        [[0.0001, 0.0002, 0.0005], np.arange(0.001, 0.01, 0.0005), np.arange(0.01, 0.05, 0.0025)]
    )
    lower = np.concatenate([tail, np.arange(0.05, 0.4999, 0.025)])
    return np.round(np.concatenate([lower, [0.5], 1 - lower[::-1]]), 6)


LEVELS: Floats = _levels()
"""The one-sided levels of every stored confidence distribution: symmetric, dense in the tails."""
_GRID = 400
"""Probabilities per distribution in a convolution."""


def uncertainty(quantiles: ArrayLike) -> Uncertainty:
    """Return the confidence distribution with these quantiles at LEVELS, made monotone."""
    values = np.maximum.accumulate(np.asarray(quantiles, dtype=np.float64))
    return Uncertainty(levels=tuple(LEVELS.tolist()), quantiles=tuple(values.tolist()))


def rounded(distribution: Uncertainty) -> Uncertainty:
    """Return a confidence distribution with six digits, for records that store many."""
    quantiles = tuple(float(f"{value:.6g}") for value in distribution.quantiles)
    return Uncertainty(levels=distribution.levels, quantiles=quantiles)


def exactly(value: float) -> Uncertainty:
    """Return the confidence distribution of a value that is known for certain, or assumed to be."""
    return uncertainty(np.full(LEVELS.size, value))


def transform(distribution: Uncertainty, function: Callable[[float], float]) -> Uncertainty:
    """Return the confidence distribution of a monotone function of the quantity.

    Levels must be symmetric about 0.5.
    """
    values = [function(value) for value in distribution.quantiles]
    return uncertainty(values if values[0] <= values[-1] else values[::-1])


def normal_quantiles(levels: ArrayLike) -> Floats:
    """Return the standard normal quantiles of probabilities (any shape)."""
    from scipy.special import ndtri

    return np.asarray(ndtri(np.asarray(levels)), dtype=np.float64)


def student(estimate: float, standard_error: float, freedom: int) -> Uncertainty:
    """Return the confidence distribution of an estimate with Student-t error."""
    from scipy.special import stdtrit

    return uncertainty(estimate + standard_error * stdtrit(freedom, LEVELS))


def upper_bound(distribution: Uncertainty, level: float) -> float:
    """Return the one-sided upper bound at `level`, interpolated within the table."""
    return float(np.interp(level, distribution.levels, distribution.quantiles))


def lower_bound(distribution: Uncertainty, level: float) -> float:
    """Return the one-sided lower bound at `level`."""
    return upper_bound(distribution, 1 - level)


def interval(
    distribution: Uncertainty, estimate: float, method: str, level: float = 0.95
) -> Interval:
    """Return the equal-tailed two-sided interval at `level` around `estimate`."""
    tail = (1 - level) / 2
    low, high = upper_bound(distribution, tail), upper_bound(distribution, 1 - tail)
    return Interval(
        estimate=estimate,
        low=min(low, estimate),
        high=max(high, estimate),
        level=level,
        method=method,
    )


def p_value(distribution: Uncertainty, margin: float) -> float:
    """Return the p-value of H0 "the quantity is at least `margin`".

    That is 1 − the level at which the upper bound equals the margin; at least 1 − the highest
    stored level (0.0001), where the table ends.
    """
    quantiles = np.asarray(distribution.quantiles)
    if margin > quantiles[-1]:
        return 1 - distribution.levels[-1]
    if margin <= quantiles[0]:
        return 1 - distribution.levels[0]
    after = int(np.searchsorted(quantiles, margin, side="left"))
    span = quantiles[after] - quantiles[after - 1]
    share = (margin - quantiles[after - 1]) / span if span > 0 else 0.0
    level = distribution.levels[after - 1] + share * (
        distribution.levels[after] - distribution.levels[after - 1]
    )
    return float(1 - level)


def fold(distribution: Uncertainty) -> Uncertainty:
    """Return the confidence distribution of |θ| from that of θ.

    The upper bound is max(U, −L): it is below m exactly when both one-sided tests of TOST reject
    (Schuirmann 1987), so its error rate at θ = ±m is that of the one-sided bounds. The lower bound
    is max(0, L, −U). The one-sided error rates hold; the two-sided interval covers |θ| at least as
    often as the signed one covers θ, and always where θ = 0. Levels must be symmetric about 0.5.
    """
    signed = np.asarray(distribution.quantiles)
    folded = np.maximum(np.maximum(signed, -signed[::-1]), 0.0)
    return Uncertainty(levels=distribution.levels, quantiles=tuple(folded.tolist()))


def standard_error(distribution: Uncertainty) -> float:
    """Return the standard error of a normal distribution with this one's 10–90 % span.

    Of a folded distribution only the outer side is informative: twice the larger side is used.
    """
    middle = upper_bound(distribution, 0.5)
    outer = max(upper_bound(distribution, 0.9) - middle, middle - upper_bound(distribution, 0.1))
    return float(outer / normal_quantiles(0.9))


def difference(first: Uncertainty, second: Uncertainty) -> Uncertainty:
    """Return the confidence distribution of second − first, as if their errors were independent.

    Errors of losses on the same prompts are positively correlated: the interval is too wide rather
    than too narrow. By the convolution of both distributions on a grid of probabilities.
    """
    grid = (np.arange(_GRID) + 0.5) / _GRID
    mine, theirs = (np.interp(grid, one.levels, one.quantiles) for one in (first, second))
    return uncertainty(np.quantile(np.subtract.outer(theirs, mine), LEVELS))
