"""Would the rules of a policy fail damaged pictures, or pass them, by what one metric makes of them?

A damage counts as noticed only where it surely breaks a limit: an interval so wide that it cannot pass sees nothing.
"""

import math
from collections.abc import Iterable

from harness.core.quality import Rung
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.stats.confidence import lower_bound, upper_bound


def fails(rung: Rung, rules: Iterable[Rule]) -> bool:
    """Return whether any rule that judges the rung's metric surely finds its limit broken."""
    return any(_is_outside(rung, rule) for rule in rules)


def passes(rung: Rung, rules: Iterable[Rule]) -> bool:
    """Return whether every rule that judges the rung's metric surely finds its limit kept; not where none has one."""
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
