"""The loss of a candidate by its distance to a reference: the ratio, corrected, and how far its bounds reach."""

import math
from typing import NamedTuple

import numpy as np

from harness.core.quality import Uncertainty
from harness.stats.confidence import Floats
from harness.stats.few_images import WORST, Measured, Missing, allow
from harness.stats.jackknife import Corrected, corrected_ratio, distribution_of_square


class Lost(NamedTuple):
    """A signed loss; `scale` is what 100 % is (with all, then without each block), `reach` what few images leave open.

    The estimate may be wrong by `reach`·√|loss| beyond its noise; infinite where the scale is lost in bias.
    """

    found: Corrected
    scale: Floats
    reach: float

    @property
    def distribution(self) -> Uncertainty:
        """The confidence distribution of the signed loss."""
        return allow(distribution_of_square(self.found), self.reach)


def distance_loss(before: Measured, after: Measured, spreads: Floats, missing: Missing, real: bool) -> Lost:
    """Return the change of a distance: over what is left to the total variance `spreads`, or over itself if `real`.

    `spreads` are as many as distances, or one for all.
    """
    first, second = missing.mend(before), missing.mend(after)
    scale = first if real else spreads - first
    reach = 0.0
    if missing.variety > 0:
        whole, size = (corrected_ratio(values, [1.0]).value for values in (spreads, scale))
        reach = WORST * missing.variety * math.sqrt(whole / size) if size > 0 else math.inf
    return Lost(corrected_ratio(second - first, scale), np.asarray(scale), reach)
