"""Whether a policy's rules surely fail, or surely pass, damaged images by one metric.

A damage counts as noticed only where it surely breaks a limit: an interval too wide to pass notices
nothing.
"""

import math
from collections.abc import Iterable

from harness.core.quality import Rung
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.stats.confidence import lower_bound, upper_bound

LEAST_LOSS = 1e-4
"""Losses below a hundredth of a percent are rounding of networks in float32."""


def finds(rung: Rung) -> bool:
    """Return whether the metric surely finds a loss, by its one-sided 95 % bound."""
    return (
        not isinstance(rung.loss_uncertainty, Absent)
        and lower_bound(rung.loss_uncertainty, 0.95) > LEAST_LOSS
    )


def fails(rung: Rung, rules: Iterable[Rule]) -> bool:
    """Return whether any rule on the rung's metric is surely broken."""
    return any(_is_outside(rung, rule) for rule in rules)


def passes(rung: Rung, rules: Iterable[Rule]) -> bool:
    """Return whether every rule on the rung's metric is surely kept; False if no rule applies."""
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
