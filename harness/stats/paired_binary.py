"""The difference of two paired proportions by the score method (Tango 1998).

Of n pairs, `lost` are right before and wrong after, `gained` the other way round. For a difference δ the variance is
that of the most likely probabilities under which the difference is exactly δ, so a bound is sound where the observed
variance is 0: of 256 pairs without a change, up to 1.1 % may be lost at 95 % confidence. A bootstrap of the same pairs
would be certain of 0.
"""

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Uncertainty
from harness.stats.confidence import LEVELS, normal_quantiles, uncertainty

Floats = NDArray[np.float64]
METHOD = "score interval of paired proportions (Tango 1998)"
_STEPS = 60


def difference(lost: float, gained: float, pairs: float) -> Uncertainty:
    """Return the confidence distribution of the lost share minus the gained share.

    Raises ValueError unless lost and gained are counts of at most `pairs` together.
    """
    if min(lost, gained) < 0 or lost + gained > pairs or pairs <= 0:
        raise ValueError(f"{lost:g} lost and {gained:g} gained of {pairs:g} pairs")
    wanted = normal_quantiles(LEVELS)
    low, high = np.full(LEVELS.size, -1.0), np.full(LEVELS.size, 1.0)
    for _ in range(_STEPS):  # the statistic falls as δ rises: bisection finds where it is minus the quantile
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
    """Return the most likely probability of a gain where losses exceed gains by δ (Tango 1998, equation 4)."""
    half = -lost - gained + (2 * pairs - lost + gained) * delta
    constant = -gained * delta * (1 - delta)
    root = (np.sqrt(np.maximum(half**2 - 8 * pairs * constant, 0)) - half) / (4 * pairs)
    return np.clip(root, np.maximum(0, -delta), np.minimum(1, 1 - delta))
