"""Summaries of raw latency samples: robust, with the uncertainty of the median."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.core.quality import Interval

METHOD = "bootstrap of the median"


class LatencySummary(NamedTuple):
    """What a list of latencies says; seconds throughout. `mad_s` is the median absolute deviation."""

    n: int
    median_s: Interval
    mad_s: float
    p95_s: float
    low_s: float
    high_s: float


def summarise_latency(samples_s: ArrayLike, level: float = 0.95, resamples: int = 2000) -> LatencySummary:
    """Return median with its bootstrap interval, MAD, 95th percentile, least and greatest of latencies (n,) in s.

    Raises ValueError for an empty list. With one sample the interval is that sample.
    """
    samples = np.asarray(samples_s, dtype=np.float64)
    if samples.size == 0:
        raise ValueError("no latency samples")
    median = float(np.median(samples))
    medians = _medians(samples, resamples)
    low, high = np.quantile(medians, [(1 - level) / 2, (1 + level) / 2])
    interval = Interval(estimate=median, low=min(float(low), median), high=max(float(high), median), level=level,
                        method=METHOD)  # fmt: skip
    return LatencySummary(
        n=samples.size,
        median_s=interval,
        mad_s=float(np.median(np.abs(samples - median))),
        p95_s=float(np.quantile(samples, 0.95)),
        low_s=float(samples.min()),
        high_s=float(samples.max()),
    )


def speedup(baseline_s: ArrayLike, candidate_s: ArrayLike, level: float = 0.95, resamples: int = 2000) -> Interval:
    """Return baseline ÷ candidate of the median latencies with its bootstrap interval; both lists non-empty."""
    baseline, candidate = (np.asarray(x, dtype=np.float64) for x in (baseline_s, candidate_s))
    estimate = float(np.median(baseline) / np.median(candidate))
    ratios = _medians(baseline, resamples, seed=1) / _medians(candidate, resamples, seed=2)
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate=estimate, low=min(float(low), estimate), high=max(float(high), estimate), level=level,
                    method="bootstrap of the ratio of medians")  # fmt: skip


def _medians(samples: np.ndarray, resamples: int, seed: int = 0) -> np.ndarray:
    draws = np.random.default_rng(seed).integers(0, samples.size, (resamples, samples.size))
    return np.asarray(np.median(samples[draws], axis=1))
