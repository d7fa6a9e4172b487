"""Non-inferiority: is a loss surely below a margin, surely not, or can this run not tell?"""

import math
from collections.abc import Hashable, Mapping
from typing import Literal, TypeVar

from harness.core.quality import Uncertainty
from harness.stats.confidence import lower_bound, upper_bound

Decision = Literal["pass", "fail", "inconclusive"]
Key = TypeVar("Key", bound=Hashable)


def decide(loss: Uncertainty, margin: float, pass_level: float, fail_level: float) -> Decision:
    """Return pass if the one-sided upper bound at `pass_level` is below the margin, fail if the lower bound at
    `fail_level` is at or above it, else inconclusive."""
    if upper_bound(loss, pass_level) < margin:
        return "pass"
    if lower_bound(loss, fail_level) >= margin:
        return "fail"
    return "inconclusive"


def holm_levels(p_values: Mapping[Key, float], alpha: float) -> dict[Key, float]:
    """Return the alpha that each hypothesis must meet under Holm's step-down correction (Holm 1979).

    The smallest p is held against alpha / k, the next against alpha / (k − 1), …; from the first that does not meet
    its alpha on, all are held against that one, so that p <= alpha of the key decides exactly as Holm does.
    """
    ordered = sorted(p_values, key=lambda key: p_values[key])
    levels: dict[Key, float] = {}
    stopped: float | None = None
    for rank, key in enumerate(ordered):
        level = stopped if stopped is not None else alpha / (len(ordered) - rank)
        levels[key] = level
        if stopped is None and p_values[key] > level:
            stopped = level
    return levels


def least_prompts(margin: float, alpha: float) -> int:
    """Return the fewest prompts with which a pass is possible at all: 59 for 5 % at 95 % confidence.

    If a share `margin` of prompts were destroyed, a sample of n shows none of them with probability (1 − margin)ⁿ;
    below this n that is more than `alpha`, however clean the sample looks (the rule of three, exactly).
    """
    return math.ceil(math.log(alpha) / math.log1p(-margin))
