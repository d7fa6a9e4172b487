"""Times that go on rising or falling while they are taken."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

LEAST = 8
_LEVEL = 0.01
"""p-value that counts: neighbours' noise is alike on real machines, so that the test errs more often than it says."""


class Drift(NamedTuple):
    """How much slower the end is than the beginning (`share`, relative; below 0: faster), and how sure that is."""

    share: float
    p_value: float


def drift(at_s: ArrayLike, values: ArrayLike) -> Drift | None:
    """Return the drift of positive values (n,) that were taken at the times at_s (n,), or None where there is none.

    The slope of the logarithms is Theil and Sen's, the median of the slopes of all pairs (Sen 1968); that there is one
    is Mann and Kendall's test, Kendall's τ between value and time. None of fewer than eight values.
    """
    from scipy.stats import kendalltau, theilslopes

    times, logs = np.asarray(at_s, dtype=np.float64), np.log(np.asarray(values, dtype=np.float64))
    if logs.size < LEAST or np.ptp(logs) == 0 or np.ptp(times) == 0:
        return None
    p_value = float(kendalltau(times, logs).pvalue)
    if p_value > _LEVEL:
        return None
    slope = float(theilslopes(logs, times)[0])
    return Drift(float(np.expm1(slope * np.ptp(times))), p_value)
