"""Would the rules of a policy fail damaged pictures, or pass them, by what one metric makes of them?

A damage counts as noticed only where it surely breaks a limit: an interval so wide that it cannot pass sees nothing.
"""

import math
from collections.abc import Iterable

from harness.core.quality import Rung
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.stats.confidence import lower_bound, upper_bound

LEAST_LOSS = 1e-4
"""A loss counts as found from a hundredth of a percent on: less is the rounding of networks in float32."""


def finds(rung: Rung) -> bool:
    """Return whether the metric surely finds a loss, by its one-sided 95 % bound."""
    return (
        not isinstance(rung.loss_uncertainty, Absent)
        and lower_bound(rung.loss_uncertainty, 0.95) > LEAST_LOSS
    )


def fails(rung: Rung, rules: Iterable[Rule]) -> bool:
    """Return whether any rule that judges the rung's metric surely finds its limit broken."""
    return any(_is_outside(rung, rule) for rule in rules)


def passes(rung: Rung, rules: Iterable[Rule]) -> bool:
    """Return whether every rule that judges the rung's metric surely finds its limit kept.

    Not where none has one.
    """
    found = [kept for rule in rules if (kept := _is_inside(rung, rule)) is not None]
    return bool(found) and all(found)


def _is_outside(rung: Rung, rule: Rule) -> bool:
    figures = rung.figures(rule.quantity)
    if isinstance(figures, Absent):
        return False
    low, high = rule.window
    level = 1 - rule.alpha / 2 if math.isfinite(low) and math.isfinite(high) else rule.level
    return lower_bound(figures[1], level) >= high or upper_bound(figures[1], level) <= low


def _is_inside(rung: Rung, rule: Rule) -> bool | None:
    figures = rung.figures(rule.quantity)
    if isinstance(figures, Absent):
        return None
    low, high = rule.window
    above = math.isinf(low) or lower_bound(figures[1], rule.level) > low
    return above and (math.isinf(high) or upper_bound(figures[1], rule.level) < high)
