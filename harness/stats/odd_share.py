"""How many more values lie beyond a high quantile of the baseline's than of the baseline itself, with its uncertainty.

The quantile is known by its few largest values only, so each bootstrap resample of prompts finds it anew. Bounds are
the outer ones of the percentile and the basic interval (Davison & Hinkley 1997, §5.2): where a candidate's values
crowd at the quantile the basic one passes up to 11 % at a true 5 %, the percentile one at most 6 % (simulated).
"""

import numpy as np
from numpy.typing import NDArray

from harness.stats.bootstrap import Estimate, Floats, resampled_counts
from harness.stats.confidence import LEVELS, interval, uncertainty

QUANTILE = 0.95
METHOD = "bootstrap over prompts, threshold included, percentile and basic"


def threshold(before: Floats) -> float:
    """Return the value that at most 5 % of the baseline's values (n,) exceed."""
    return float(np.quantile(before, QUANTILE, method="higher"))


def excess(before: Floats, after: Floats, resamples: int) -> Estimate:
    """Return (share_after − share_before) / (1 − share_before) of values (prompts, seeds) above the threshold."""
    prompts, seeds = before.shape
    ordered = np.sort(before, axis=None)
    owner = np.argsort(before, axis=None) // seeds
    rank = np.searchsorted(ordered, after)  # a value is above the k-th of the baseline's if its rank is above k
    value = float(_lost(np.ones((1, prompts)), owner, rank)[0])
    drawn = np.concatenate([_lost(counts, owner, rank) for counts in resampled_counts(prompts, resamples)])
    percentile = np.quantile(drawn, LEVELS)
    basic = 2 * value - percentile[::-1]
    outer = np.where(LEVELS > 0.5, np.maximum(percentile, basic), np.minimum(percentile, basic))
    distribution = uncertainty(np.where(LEVELS == 0.5, percentile, outer))
    return Estimate(value, distribution, interval(distribution, value, METHOD))


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
