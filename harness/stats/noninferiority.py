"""Passing among many: Holm's correction, and the fewest prompts with which a pass means anything."""

import math
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Key = TypeVar("Key", bound=Hashable)


def holm_shares(keys: Iterable[Key], rejects: Callable[[Key, float], bool]) -> dict[Key, float]:
    """Return the share of alpha each hypothesis is held against under Holm's step-down correction (Holm 1979).

    `rejects(key, share)` says whether it is rejected at that share of its alpha; larger shares may only reject more.
    With k hypotheses left each is held against 1 / k; those rejected leave, and the rest are held against more; where
    none is rejected all that are left stay there. `rejects(key, result[key])` then decides exactly as Holm does.
    """
    left = list(keys)
    shares: dict[Key, float] = {}
    while left:
        share = 1 / len(left)
        rejected = {key for key in left if rejects(key, share)}
        shares |= dict.fromkeys(rejected or left, share)
        left = [key for key in left if key not in rejected] if rejected else []
    return shares


def least_prompts(margin: float, alpha: float) -> int:
    """Return the fewest prompts with which a pass is possible at all: 59 for 5 % at 95 % confidence.

    If a share `margin` of prompts were destroyed, a sample of n shows none of them with probability (1 − margin)ⁿ;
    below this n that is more than `alpha`, however clean the sample looks (the rule of three, exactly).
    """
    return math.ceil(math.log(alpha) / math.log1p(-margin))
