"""The location of few values of unknown shape: Hodges–Lehmann, bootstrap error, Student's t."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.quality import Uncertainty
from harness.stats.confidence import LEVELS, uncertainty

Floats = NDArray[np.float64]
Places = NDArray[np.int64]

_MOST = 64
"""More values than this are averaged with their neighbours, which also absorbs correlation of
neighbours."""
_RESAMPLES = 500
_FURTHEST = math.log(1e6)
"""Bounds differ by at most a factor of a million: of two values, bounds at high levels would
overflow."""


class Location(NamedTuple):
    """The location of logarithms, its error, and degrees of freedom (0: no known error)."""

    estimate: float
    error: float
    freedom: float

    def known(self) -> bool:
        """Return whether a standard error is known."""
        return self.freedom > 0

    def spread(self) -> Uncertainty:
        """Return the confidence distribution of the exponential: Student's t on logarithms."""
        from scipy.special import stdtrit

        offset = np.clip(self.error * stdtrit(self.freedom, LEVELS), -_FURTHEST, _FURTHEST)
        return uncertainty(np.exp(self.estimate + offset))


def locate(values: ArrayLike) -> Location:
    """Return the Hodges–Lehmann location of values (n,), n ≥ 1.

    The median of the means of all pairs. It is robust to outliers and needs few more values than a
    mean. The error is a bootstrap's, which with Student's t gives bounds at any level. The error of
    one value is infinite.
    """
    every = np.asarray(values, dtype=np.float64)
    units = joined(every.size)
    taken = np.bincount(units, every) / np.bincount(units)
    return Location(
        float(middle(taken)), *bootstrap(taken.size, lambda drawn: middle(taken[drawn]))
    )


def bootstrap(n: int, middles: Callable[[Places], Floats]) -> tuple[float, float]:
    """Return the standard error of a location of n units, and its degrees of freedom.

    `middles` returns the location (r,) of each resample, given as indices (r, n). Times √(n / (n −
    1)) for the resamples' narrowness (Hesterberg 2015, "What Teachers Should Know About the
    Bootstrap": the t interval with bootstrap error).
    """
    if n < 2:
        return math.inf, 0
    return float(middles(_draws(n)).std()) * (n / (n - 1)) ** 0.5, n - 1


def combine(estimate: float, parts: Sequence[Location]) -> Location:
    """Return an estimate with the independent errors of its parts (Welch–Satterthwaite)."""
    if not all(part.known() for part in parts):
        return Location(estimate, math.inf, 0)
    total = sum(part.error**2 for part in parts)
    spread = sum(part.error**4 / part.freedom for part in parts)
    return Location(
        estimate,
        math.sqrt(total),
        total**2 / spread if spread else min(part.freedom for part in parts),
    )


def middle(values: Floats) -> Floats:
    """Return the Hodges–Lehmann location (…) of values (…, n)."""
    first, second = np.triu_indices(values.shape[-1])
    return np.asarray(np.median((values[..., first] + values[..., second]) / 2, axis=-1))


def joined(count: int) -> NDArray[np.int64]:
    """Return the unit (count,) of each value: neighbours share one if there are many."""
    together = -(-count // _MOST)
    parts = np.array_split(np.arange(count), count // together)
    return np.repeat(np.arange(len(parts)), [part.size for part in parts])


@lru_cache(maxsize=_MOST)
def _draws(n: int) -> Places:
    return np.random.default_rng(n).integers(0, n, (_RESAMPLES, n))
