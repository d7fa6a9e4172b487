"""The loss of a candidate by its distance to a reference, and what too few images hide of it.

Covariances of N images span N − 1 directions. The true covariances' part in the other directions is
missing from the cross trace C alone, so a distance is too large, by an amount that is not a series
in 1 / N: corrected by the jackknife alone, a candidate with less variety whose true loss is 5 %
would still pass in most runs or all (simulated). But the same N images also measure a distance that
is known to be 0: between the baseline at two sets of seeds, or between normal draws with the
moments of a set of real images and that set. What the jackknife leaves of that distance, D₀, is
bias:

- the cross traces are too small by 1 / (1 + D₀ / 2C₀), exactly so where a change keeps the
  spectrum's shape, and are enlarged by that;
- a change in the missing directions alone is still misjudged, in proportion to its size √θ and to
  the missing share r = D₀ / S: by at most 2.9·r·√θ in all changes simulated (a narrower or noisier
  candidate, variety lost or grain added where there is little of it). Bounds are widened as if the
  estimate were wrong by 3·r·√θ.

So the number of dimensions matters less than the variety beyond the directions that N images span:
with the bundled net r is 0 from 60 images on, although it has 128 features.
"""

import math
from typing import NamedTuple

import numpy as np

from harness.core.quality import Uncertainty
from harness.stats.confidence import LEVELS, Floats, uncertainty
from harness.stats.jackknife import Corrected, corrected_ratio, distribution_of_square

WORST = 3.0
"""Largest error of an estimate θ, in units of r·√θ."""


class MeasuredDistances(NamedTuple):
    """Distances (blocks + 1,) and the cross traces that are subtracted from them twice."""

    distances: Floats
    cross: Floats


class Missing(NamedTuple):
    """What too few images hide: the shares of cross traces (too small by it) and of variety (r)."""

    cross: float = 0.0
    variety: float = 0.0

    def mend(self, measured: MeasuredDistances) -> Floats:
        """Return the distances (blocks + 1,) with the cross traces enlarged."""
        return measured.distances - 2 * self.cross * measured.cross


NOTHING = Missing()


def find_missing(zero: MeasuredDistances, spreads: Floats) -> Missing:
    """Return what is missing, measured by distances whose true value is 0.

    `spreads` is the total variance: as many values as distances, or one.
    """
    apart, cross = (corrected_ratio(values, [1.0]).value for values in zero)
    if apart <= 0 or cross <= 0:
        return NOTHING
    return Missing(apart / (2 * cross), apart / corrected_ratio(spreads, [1.0]).value)


def allow(distribution: Uncertainty, allowance: float) -> Uncertainty:
    """Return the confidence distribution of θ if its estimate may be off by `allowance`·√|θ|."""
    if allowance <= 0:
        return distribution
    values = np.asarray(distribution.quantiles)
    above, below = _furthest(values, allowance), -_furthest(-values, allowance)
    return uncertainty(np.where(LEVELS > 0.5, above, np.where(LEVELS < 0.5, below, values)))


def _furthest(bounds: Floats, allowance: float) -> Floats:
    """Return the largest θ with θ − reach·√|θ| ≤ bound: the solution of a quadratic in √|θ|."""
    positive = ((allowance + np.sqrt(np.maximum(allowance**2 + 4 * bounds, 0))) / 2) ** 2
    negative = -(((np.sqrt(allowance**2 + 4 * np.maximum(-bounds, 0)) - allowance) / 2) ** 2)
    return np.where(bounds >= -(allowance**2) / 4, positive, negative)


class Lost(NamedTuple):
    """A signed loss.

    `scale` is what counts as 100 % (with all blocks, then without each). Beyond its noise the
    estimate may be wrong by `allowance`·√|loss|, because of few images; infinite where the scale is
    not clear of bias.
    """

    found: Corrected
    scale: Floats
    allowance: float

    @property
    def distribution(self) -> Uncertainty:
        """The confidence distribution of the signed loss."""
        return allow(distribution_of_square(self.found), self.allowance)


def distance_loss(
    before: MeasuredDistances,
    after: MeasuredDistances,
    spreads: Floats,
    missing: Missing,
    real: bool,
) -> Lost:
    """Return the change of a distance, relative to itself if `real`, else to the variety.

    Lost variety is what remains up to the total variance `spreads`: as many values as distances, or
    one for all.
    """
    first, second = missing.mend(before), missing.mend(after)
    scale = first if real else spreads - first
    allowance = 0.0
    if missing.variety > 0:
        whole, size = (corrected_ratio(values, [1.0]).value for values in (spreads, scale))
        allowance = WORST * missing.variety * math.sqrt(whole / size) if size > 0 else math.inf
    return Lost(corrected_ratio(second - first, scale), np.asarray(scale), allowance)
