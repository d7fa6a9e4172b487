"""Exact bounds from order and rank sums, for few raw samples of unknown shape: medians, and ratios of two lists.

Sign test for a median; for a ratio the Mann–Whitney test of two lists whose logarithms differ by a shift, inverted
(Hollander, Wolfe & Chicken, "Nonparametric Statistical Methods" (2014), ch. 3.4–3.6 and 4.1–4.3). Few samples cannot
give a bound at a high level at all: then it is infinite (0 for a lower bound of a ratio), never a guess.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

MOST = 1000
"""Samples of each list that are compared with each other: more of them change no bound a person would see."""
_EXACT = 2500
"""Up to this many pairs the null distribution is counted, beyond it is normal."""


def median_upper(samples: ArrayLike, level: float) -> float:
    """Return the one-sided upper bound at `level` on the median of samples (n,); infinite if n is too small."""
    from scipy.special import bdtr

    ordered = np.sort(np.asarray(samples, dtype=np.float64))
    counts = np.arange(ordered.size)
    enough = np.flatnonzero(bdtr(counts, ordered.size, 0.5) >= level)
    return float(ordered[enough[0]]) if enough.size else float("inf")


def median_lower(samples: ArrayLike, level: float) -> float:
    """Return the one-sided lower bound at `level` on the median; minus infinity if there are too few samples."""
    return -median_upper(-np.asarray(samples, dtype=np.float64), level)


def median_p(samples: ArrayLike, limit: float) -> float:
    """Return the p-value of H0 "the median is at or above `limit`": the sign test."""
    from scipy.special import bdtr

    values = np.asarray(samples, dtype=np.float64)
    return float(bdtr(int((values >= limit).sum()), values.size, 0.5))


def ratio_p(above: ArrayLike, below: ArrayLike, limit: float) -> float:
    """Return the p-value of H0 "`above` ÷ `below` is at or under `limit`", for positive samples (n,) and (m,)."""
    pairs = _pairs(above, below)
    return float(_tail(*_sizes(above, below))[int((pairs > limit).sum())])


def ratio_lower(above: ArrayLike, below: ArrayLike, level: float) -> float:
    """Return the one-sided lower bound at `level` on the ratio `above` ÷ `below`; 0 if there are too few samples."""
    pairs = np.sort(_pairs(above, below).ravel())
    rejecting = np.flatnonzero(_tail(*_sizes(above, below)) <= 1 - level + 1e-12)
    return float(pairs[pairs.size - rejecting[0]]) if rejecting.size else 0.0


def ratio_upper(above: ArrayLike, below: ArrayLike, level: float) -> float:
    """Return the one-sided upper bound at `level` on the ratio; infinite if there are too few samples."""
    lowest = ratio_lower(below, above, level)
    return 1 / lowest if lowest > 0 else float("inf")


def _pairs(above: ArrayLike, below: ArrayLike) -> Floats:
    first, second = (np.asarray(x, dtype=np.float64)[:MOST] for x in (above, below))
    return np.asarray(first[:, None] / second[None, :])


def _sizes(above: ArrayLike, below: ArrayLike) -> tuple[int, int]:
    return min(np.size(above), MOST), min(np.size(below), MOST)


@lru_cache(maxsize=8)
def _tail(n: int, m: int) -> Floats:
    """Return P(U ≥ u) for u = 0 … n·m when both lists are of one distribution."""
    if n * m > _EXACT:
        from scipy.special import ndtr

        error = np.sqrt(n * m * (n + m + 1) / 12)
        return np.asarray(ndtr((n * m / 2 + 0.5 - np.arange(n * m + 1)) / error))
    shares = np.zeros(n * m + 1)
    shares[0] = 1.0
    for i in range(1, n + 1):  # the Gaussian binomial coefficient, factor by factor (1 − xᵐ⁺ⁱ) / (1 − xⁱ)
        shares[m + i :] -= shares[: -(m + i)].copy() if m + i <= n * m else 0.0
        for start in range(i):
            shares[start::i] = np.cumsum(shares[start::i])
        shares *= i / (m + i)
    return np.asarray(np.clip(shares[::-1].cumsum()[::-1], 0.0, 1.0))
