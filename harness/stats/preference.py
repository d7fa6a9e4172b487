"""Shares of yes-or-no answers of raters to pairs: an interval that is right for both samples.

Answers of several raters to one pair are alike, and so are the answers of one rater. The variance
of the share is that of a crossed design: of prompts, plus of raters, minus what both count (Gallas
2006 for readers × cases; Cameron, Gelbach & Miller 2011, equation 2.8). Each part counts with
Student's t at its degrees of freedom (Graybill & Wang 1980). The ratio to independent answers
gives an effective number of answers, and that the exact interval of a share (Korn & Graubard 1998;
Clopper & Pearson 1934). With one rater and one pair per prompt it is Clopper and Pearson's.
"""

from collections.abc import Sequence

import numpy as np

from harness.stats.bootstrap import Estimate, Floats
from harness.stats.confidence import LEVELS, interval, uncertainty

METHOD = "exact interval of the effective number of answers, prompts × raters (Korn & Graubard)"
_NEAREST = 0.025


def crossed_share(
    values: Sequence[bool], prompts: Sequence[str], raters: Sequence[str]
) -> Estimate:
    """Return the share of true values (n,) by prompt and rater (n,).

    With two raters or more it holds for other prompts and other raters, with one rater for other
    prompts only. Raises ValueError without values.
    """
    if not values:
        raise ValueError("a share needs at least one answer")
    array = np.asarray(values, dtype=np.float64)
    share, units = float(array.mean()), len(set(prompts))
    if 0 < share < 1 and units > 1:
        answers = _count_effective(array - share, prompts, raters)
    else:  # no spread was seen: raters count as copies of each other
        answers = np.full(LEVELS.size, float(units))
    distribution = uncertainty(_quantiles(share, answers))
    return Estimate(share, distribution, interval(distribution, share, METHOD))


def _count_effective(deviations: Floats, prompts: Sequence[str], raters: Sequence[str]) -> Floats:
    """Return how many independent answers are as precise, at LEVELS."""
    from scipy.special import stdtrit

    def square(clusters: Sequence[object]) -> Floats:
        """Return the squared half-widths that clusters alone would give."""
        variance, count = _cluster_variance(deviations, clusters)
        return np.asarray(stdtrit(max(count - 1, 1), away) ** 2 * variance)

    away = np.maximum(np.abs(LEVELS - 0.5), _NEAREST) + 0.5
    alone = square(range(len(deviations)))
    found = by_prompt = square(prompts)
    if len(set(raters)) > 1:
        both = square(list(zip(prompts, raters, strict=True)))
        found = np.maximum(by_prompt + square(raters) - both, by_prompt)
    return len(deviations) * np.minimum(alone / found, 1.0)


def _cluster_variance(deviations: Floats, clusters: Sequence[object]) -> tuple[float, int]:
    """Return the variance of the mean if clusters are independent, and their number."""
    codes = {name: code for code, name in enumerate(dict.fromkeys(clusters))}
    sums = np.bincount([codes[name] for name in clusters], weights=deviations)
    count = len(codes)
    return float((sums**2).sum()) / len(deviations) ** 2 * count / max(count - 1, 1), count


def _quantiles(share: float, answers: Floats) -> Floats:
    """Return the upper bounds at LEVELS of a share of so many answers."""
    from scipy.special import betaincinv

    yes, no = share * answers, (1 - share) * answers
    lower = betaincinv(yes, no + 1, LEVELS) if share > 0 else np.zeros(LEVELS.size)
    upper = betaincinv(yes + 1, no, LEVELS) if share < 1 else np.ones(LEVELS.size)
    found = np.where(LEVELS < 0.5, lower, upper)
    return np.where(LEVELS == 0.5, share, found)
