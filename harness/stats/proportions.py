"""Uncertainty of proportions: paired differences, shares of a count, excess beyond a quantile."""

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Uncertainty
from harness.stats.bootstrap import Estimate, Floats, resampled_counts
from harness.stats.confidence import LEVELS, interval, normal_quantiles, uncertainty

METHOD = "score interval of paired proportions (Tango 1998)"
_STEPS = 60


def difference(lost: float, gained: float, pairs: float) -> Uncertainty:
    """Return the distribution of the lost minus the gained share of paired outcomes.

    Of n pairs, `lost` are right before and wrong after, `gained` the other way round. The score
    method (Tango 1998): for a difference δ the variance is that of the most likely probabilities
    under which the difference is exactly δ, so a bound is valid where the observed variance is 0:
    of 256 pairs without a change, up to 1.1 % may be lost at 95 % confidence. A bootstrap of the
    same pairs would be certain of 0.

    Raises ValueError unless lost and gained are counts of at most `pairs` together.
    """
    if min(lost, gained) < 0 or lost + gained > pairs or pairs <= 0:
        raise ValueError(f"{lost:g} lost and {gained:g} gained of {pairs:g} pairs")
    wanted = normal_quantiles(LEVELS)
    low, high = np.full(LEVELS.size, -1.0), np.full(LEVELS.size, 1.0)
    for _ in range(
        _STEPS
    ):  # the statistic falls as δ rises: bisection finds where it is minus the quantile
        middle = (low + high) / 2
        above = _statistic(middle, lost, gained, pairs) < -wanted
        low, high = np.where(above, low, middle), np.where(above, middle, high)
    return uncertainty((low + high) / 2)


def _statistic(delta: Floats, lost: float, gained: float, pairs: float) -> Floats:
    """Return (observed difference − δ) ÷ its standard error under δ, for each δ."""
    other = _restricted(delta, lost, gained, pairs)
    variance = np.maximum(pairs * (2 * other + delta * (1 - delta)), 1e-12)
    return np.asarray((lost - gained - pairs * delta) / np.sqrt(variance))


def _restricted(delta: Floats, lost: float, gained: float, pairs: float) -> Floats:
    """Return the most likely probability of a gain under δ (Tango 1998, equation 4)."""
    half = -lost - gained + (2 * pairs - lost + gained) * delta
    constant = -gained * delta * (1 - delta)
    root = (np.sqrt(np.maximum(half**2 - 8 * pairs * constant, 0)) - half) / (4 * pairs)
    return np.clip(root, np.maximum(0, -delta), np.minimum(1, 1 - delta))


def share_upper(count: int, n: int, level: float = 0.95) -> float:
    """Return the exact one-sided upper bound on a share of which `count` of `n` were seen.

    Clopper & Pearson (1934). Raises ValueError unless 0 <= count <= n and n > 0.
    """
    _check(count, n)
    if count == n:
        return 1.0
    from scipy.special import betaincinv

    return float(betaincinv(count + 1, n - count, level))


def share_lower(count: int, n: int, level: float = 0.95) -> float:
    """Return the exact one-sided lower bound on a share of which `count` of `n` were seen."""
    return 1 - share_upper(n - count, n, level)


def _check(count: int, n: int) -> None:
    if n <= 0 or not 0 <= count <= n:
        raise ValueError(f"{count} of {n} is not a share")


QUANTILE = 0.95
_EXCESS_METHOD = "bootstrap over prompts, threshold included, percentile and basic"


def threshold(before: Floats) -> float:
    """Return the value that at most 5 % of the baseline's values (n,) exceed."""
    return float(np.quantile(before, QUANTILE, method="higher"))


def excess(before: Floats, after: Floats, resamples: int) -> Estimate:
    """Return (share_after − share_before) / (1 − share_before), shares above the threshold.

    Values are (prompts, seeds).

    The threshold is known by its few largest values only, so each bootstrap resample of prompts
    computes it anew. Bounds are the outer ones of the percentile and the basic interval (Davison &
    Hinkley 1997, §5.2): where a candidate's values crowd at the quantile the basic one passes up to
    11 % at a true 5 %, the percentile one at most 6 % (simulated).
    """
    prompts, seeds = before.shape
    ordered = np.sort(before, axis=None)
    owner = np.argsort(before, axis=None) // seeds
    rank = np.searchsorted(
        ordered, after
    )  # a value is above the k-th of the baseline's if its rank is above k
    value = float(_lost(np.ones((1, prompts)), owner, rank)[0])
    drawn = np.concatenate(
        [_lost(counts, owner, rank) for counts in resampled_counts(prompts, resamples)]
    )
    percentile = np.quantile(drawn, LEVELS)
    basic = 2 * value - percentile[::-1]
    outer = np.where(LEVELS > 0.5, np.maximum(percentile, basic), np.minimum(percentile, basic))
    distribution = uncertainty(np.where(LEVELS == 0.5, percentile, outer))
    return Estimate(value, distribution, interval(distribution, value, _EXCESS_METHOD))


def _lost(counts: Floats, owner: NDArray[np.int64], rank: NDArray[np.int64]) -> Floats:
    """Return the loss (k,) of resamples in which each prompt counts `counts` (k, prompts) times."""
    prompts, seeds = rank.shape
    images = prompts * seeds
    below = np.cumsum(counts[:, owner], axis=1)
    place = np.minimum((below < QUANTILE * images).sum(axis=1), images - 1)
    odd_before = 1 - np.take_along_axis(below, place[:, None], axis=1)[:, 0] / images
    is_odd = rank[None] > place[:, None, None]
    odd_after = np.einsum("kp,kps->k", counts, is_odd) / images
    return np.asarray((odd_after - odd_before) / (1 - odd_before))
