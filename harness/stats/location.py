"""Where the middle of few values of unknown shape lies, and how sure that is: Hodges–Lehmann with a bootstrap."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_MOST = 64
"""More values than this are joined to means of neighbours, which also takes up what neighbours have in common."""
_RESAMPLES = 500


class Location(NamedTuple):
    """An estimate, its standard error, and the degrees of freedom the error was found with: 0 where there is none."""

    estimate: float
    error: float
    freedom: float

    def known(self) -> bool:
        """Return whether there is an error to tell."""
        return self.freedom > 0


def locate(values: ArrayLike) -> Location:
    """Return the Hodges–Lehmann location of values (n,), n ≥ 1: the median of the means of all pairs.

    It hardly heeds an outlier and needs few more values than a mean. The error is a bootstrap's, times √(n / (n − 1))
    for the resamples' narrowness; with Student's t it gives bounds at any level (Hesterberg 2015, "What Teachers Should
    Know About the Bootstrap": the t interval with bootstrap standard error). One value has no error: it is infinite.
    """
    taken = _joined(np.asarray(values, dtype=np.float64))
    n = taken.size
    if n < 2:
        return Location(float(taken[0]), math.inf, 0)
    error = float(middle(taken[_draws(n)]).std()) * (n / (n - 1)) ** 0.5
    return Location(float(middle(taken)), error, n - 1)


def combine(estimate: float, parts: Sequence[tuple[float, float]]) -> Location:
    """Return an estimate with independent errors, each with its degrees of freedom (Welch–Satterthwaite)."""
    if any(freedom <= 0 for _, freedom in parts):
        return Location(estimate, math.inf, 0)
    total = sum(error**2 for error, _ in parts)
    spread = sum(error**4 / freedom for error, freedom in parts)
    return Location(estimate, math.sqrt(total), total**2 / spread if spread else min(freedom for _, freedom in parts))


def middle(values: Floats) -> Floats:
    """Return the Hodges–Lehmann location (…) of values (…, n)."""
    first, second = np.triu_indices(values.shape[-1])
    return np.asarray(np.median((values[..., first] + values[..., second]) / 2, axis=-1))


def _joined(values: Floats) -> Floats:
    if values.size <= _MOST:
        return values
    together = -(-values.size // _MOST)
    return np.array([part.mean() for part in np.array_split(values, values.size // together)])


@lru_cache(maxsize=_MOST)
def _draws(n: int) -> NDArray[np.int64]:
    return np.random.default_rng(n).integers(0, n, (_RESAMPLES, n))
