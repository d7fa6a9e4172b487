"""Cluster bootstrap of means and ratios: prompts are resampled, candidate and baseline together.

Intervals are studentized (bootstrap-t; Efron & Tibshirani 1993, §12.5; Hall 1992, ch. 3): one-sided
error rates are right to order 1/n even when values are skewed, where percentile intervals are right
to order 1/√n only. The rest, of order 1/n, is an error of up to 2 points at 100 prompts: a sample
rarely contains the large values that make a distribution skewed, and under heavy symmetric tails
its skewness is noise. So every bound is the outermost of three: the bootstrap's, Hall's closed-form
correction with the skewness stretched, and Student's t.

Hall (1992, "On the removal of skewness"): with skewness γ of n values, g(T) = T + γT²/3√n +
γ²T³/27n + γ/6√n is nearly normal where T is not, and it is monotone, so its inverse gives T's
quantiles: T = 3√n/γ · (∛(1 + γ/√n · (z − γ/6√n)) − 1).
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.quality import Interval, Uncertainty
from harness.stats.confidence import LEVELS, interval, normal_quantiles, uncertainty

Floats = NDArray[np.float64]

STRETCH = 1.6
"""A sample shows less skewness than the distribution has, since rare large values are mostly
missing; the sample skewness is multiplied by this. Chosen by simulation: lognormal values (σ = 1,
skewness 6.2) exceed the nominal error with 1.3 and not with 1.6, for 60 to 500 values
(tests/benchmarks/simulate_rates.py)."""


def sample_skewness(deviations: Floats) -> Floats:
    """Return the skewness (k,) of deviations from their means (n, k), corrected for n."""
    n = len(deviations)
    second, third = (deviations**2).mean(axis=0), (deviations**3).mean(axis=0)
    raw = np.divide(third, second**1.5, out=np.zeros_like(third), where=second > 0)
    return np.asarray(raw * np.sqrt(n * (n - 1)) / max(n - 2, 1))


def hall_quantiles(shares: Floats, skewness: Floats, n: int) -> Floats:
    """Return quantiles at `shares` (q,) of studentized means of n values: (q, k).

    `skewness` (k,) are those of the values.
    """
    from scipy.special import stdtrit

    z = stdtrit(n - 1, shares)[:, None]
    slope = STRETCH * skewness / np.sqrt(n)
    slope = np.where(np.abs(slope) < 1e-6, 1e-6, slope)
    return np.asarray(3 / slope * (np.cbrt(1 + slope * (z - slope / 6)) - 1))


METHOD = "cluster bootstrap over prompts, studentized, corrected for skewness, paired"
RESAMPLES = 10_000
_CHUNK = 2_000_000
_FLOOR = 0.25
"""The least standard error of a resample, as a share of the sample's: a resample that misses all of
the few prompts that changed would otherwise divide by zero."""


class Estimate(NamedTuple):
    """A number with its confidence distribution and 95 % interval."""

    value: float
    distribution: Uncertainty
    interval: Interval


def cluster_means(values: ArrayLike, clusters: int) -> Floats:
    """Return the mean of each prompt from values of shape (clusters × seeds,), prompt by prompt."""
    return np.asarray(np.asarray(values, dtype=np.float64).reshape(clusters, -1).mean(axis=1))


def resampled_counts(clusters: int, resamples: int, seed: int = 0) -> Iterator[Floats]:
    """Yield how often each cluster is drawn, in chunks of shape (some resamples, clusters)."""
    rng = np.random.default_rng(seed)
    size = max(1, _CHUNK // clusters)
    for start in range(0, resamples, size):
        count = min(size, resamples - start)
        draws = rng.integers(0, clusters, (count, clusters)) + clusters * np.arange(count)[:, None]
        counts = np.bincount(draws.ravel(), minlength=count * clusters)
        yield counts.reshape(count, clusters).astype(np.float64)


def _errors(sums: Floats, ratio: Floats, clusters: int) -> Floats:
    """Return the linearised standard error of ratios from sums of a², ag, g² and g (first axis)."""
    squares = sums[0] - 2 * ratio * sums[1] + ratio**2 * sums[2]
    return np.asarray(np.sqrt(np.maximum(squares, 0) * clusters / (clusters - 1)) / np.abs(sums[3]))


def ratio_quantiles(numerator: ArrayLike, denominator: ArrayLike, resamples: int = RESAMPLES,
                    seed: int = 0) -> tuple[Floats, Floats]:  # fmt: skip
    """Return ratios of means (k,) and upper bounds (levels, k) of per-cluster values (clusters, k).

    Raises ValueError for fewer than two clusters.
    """
    a, g = (np.asarray(x, dtype=np.float64) for x in (numerator, denominator))
    clusters, k = a.shape
    if clusters < 2:
        raise ValueError("an interval needs at least two clusters")
    columns = np.concatenate([a * a, a * g, g * g, g, a], axis=1)
    total = columns.sum(axis=0).reshape(5, k)
    ratio = total[4] / total[3]
    error = _errors(total, ratio, clusters)
    t = np.empty((resamples, k))
    done = 0
    for weights in resampled_counts(clusters, resamples, seed):
        sums = (weights @ columns).reshape(len(weights), 5, k).transpose(1, 0, 2)
        drawn = sums[4] / sums[3]
        floor = np.maximum(_errors(sums, drawn, clusters), _FLOOR * error)
        t[done : done + len(weights)] = np.divide(
            drawn - ratio, floor, out=np.zeros_like(drawn), where=floor > 0
        )
        done += len(weights)
    residuals = (a - ratio * g) * np.sign(total[3])
    return ratio, ratio - error * _outermost(
        _quantiles_of_t(t), sample_skewness(residuals), clusters
    )


def _outermost(found: Floats, skewness: Floats, clusters: int) -> Floats:
    """Return quantiles of t (levels, k) at 1 − LEVELS, no nearer to 0 than Hall's and Student's.

    The median is unchanged.
    """
    from scipy.special import stdtrit

    wanted = 1 - LEVELS
    student = np.broadcast_to(stdtrit(clusters - 1, wanted)[:, None], found.shape)
    three = np.stack([found, hall_quantiles(wanted, skewness, clusters), student])
    side = wanted[:, None]
    return np.where(side < 0.5, three.min(axis=0), np.where(side > 0.5, three.max(axis=0), found))


def _quantiles_of_t(t: Floats) -> Floats:
    """Return the quantiles of t at 1 − LEVELS; far tails are extrapolated as normal."""
    wanted = 1 - LEVELS
    edge = 10 / len(t)
    inner = np.clip(wanted, edge, 1 - edge)
    stretch = np.ones_like(wanted)
    outside = inner != wanted
    stretch[outside] = normal_quantiles(wanted[outside]) / normal_quantiles(inner[outside])
    return np.asarray(np.quantile(t, inner, axis=0) * stretch[:, None])


def ratio(numerator: ArrayLike, denominator: ArrayLike, resamples: int = RESAMPLES) -> Estimate:
    """Return mean(numerator) / mean(denominator) of per-cluster values (clusters,)."""
    a, g = np.asarray(numerator, dtype=np.float64), np.asarray(denominator, dtype=np.float64)
    values, quantiles = ratio_quantiles(a[:, None], g[:, None], resamples)
    distribution = uncertainty(quantiles[:, 0])
    value = float(values[0])
    return Estimate(value, distribution, interval(distribution, value, METHOD))


def mean(values: ArrayLike, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean of per-cluster values (clusters,) with its uncertainty."""
    array = np.asarray(values, dtype=np.float64)
    return ratio(array, np.ones_like(array), resamples)


def signal_to_noise(values: ArrayLike) -> float:
    """Return mean ÷ standard error of per-cluster values."""
    array = np.asarray(values, dtype=np.float64)
    error = array.std(ddof=1) / np.sqrt(len(array))
    if error == 0:
        return float(np.copysign(np.inf, array.mean())) if array.mean() else 0.0
    return float(array.mean() / error)


def spread_subset(subset: ArrayLike, clusters: int) -> Floats:
    """Return values for all clusters with the mean and the uncertainty of a mean of the first few.

    Each of the m measured clusters weighs clusters ÷ m in deviation, the others have the mean:
    resampling all clusters then moves the mean as resampling the subset would, to first order.
    """
    known = np.asarray(subset, dtype=np.float64)
    values = np.full(clusters, known.mean())
    values[: len(known)] += (known - known.mean()) * clusters / len(known)
    return values
