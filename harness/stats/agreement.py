"""Agreement between raters: Krippendorff's alpha."""

from collections.abc import Iterable, Sequence

import numpy as np


def krippendorff_alpha(units: Iterable[Sequence[int]], categories: int) -> float | None:
    """Return Krippendorff's alpha of ordered categories (0 … categories − 1), rated unit by unit.

    1 is perfect agreement, 0 what chance gives. Units may have different numbers of ratings; those
    with one do not count. None if no two ratings can be compared, or if all ratings are equal.
    Krippendorff, "Content Analysis" (2004), ch. 11, with the ordinal difference function.
    """
    coincidences = np.zeros((categories, categories))
    for ratings in units:
        counts = np.bincount(np.asarray(ratings, dtype=np.int64), minlength=categories)
        if len(ratings) > 1:
            pairs = np.outer(counts, counts) - np.diag(counts)
            coincidences += pairs / (len(ratings) - 1)
    totals = coincidences.sum(axis=1)
    below = np.cumsum(totals) - totals / 2
    difference = (below[:, None] - below[None, :]) ** 2
    expected = float((np.outer(totals, totals) * difference).sum())
    if expected == 0:
        return None
    observed = float((coincidences * difference).sum())
    return 1 - (totals.sum() - 1) * observed / expected
