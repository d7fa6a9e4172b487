"""Times far from the rest: shown, never dropped."""

import numpy as np
from numpy.typing import ArrayLike

LEAST = 5
_FENCE = 3.0
"""Tukey's far fence: this many interquartile ranges beyond a quartile ("Exploratory Data Analysis", 1977, ch. 2)."""
_REACH = 5.0
"""Least distance from the median, in standard deviations by the MAD: few values may have too short a quartile range."""


def outliers(values: ArrayLike) -> tuple[int, ...]:
    """Return the places of positive values (n,) that are far out, in order; none of fewer than five values.

    On logarithms, since times are skewed: beyond Tukey's far fence, and five standard deviations from the median.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    if logs.size < LEAST:
        return ()
    low, middle, high = np.quantile(logs, [0.25, 0.5, 0.75])
    apart = np.abs(logs - middle)
    fence = _FENCE * (high - low)
    far = (logs > high + fence) | (logs < low - fence)
    return tuple(int(place) for place in np.flatnonzero(far & (apart > _REACH * 1.4826 * np.median(apart))))
