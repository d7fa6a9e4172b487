"""Is a quantity surely inside its limits, surely outside, or can this run not tell?

Inside is shown by one one-sided test for each limit, all of which must reject (two limits: TOST, Schuirmann 1987).
Only a pass is corrected across cells; outside is held at the rule's own level, halved between two limits, for either
may fail. In a run that looks several times each test has the level of its look, so that the whole test keeps its own.
"""

import math
from typing import NamedTuple

from harness.core.rule import ESTIMATED, Rule
from harness.core.verdict import Result
from harness.gating.evidence import Found
from harness.gating.readings import Reading, Share, Spread
from harness.stats.noninferiority import least_prompts, prompts_needed
from harness.stats.sequential import nominal_alpha


class Decision(NamedTuple):
    """A result with its bounds and p-value; `why` it is no pass (blind, few, unresolved, imprecise), or empty."""

    result: Result
    p_value: float
    alpha: float
    lower: float
    upper: float
    needed: int | None = None
    why: str = ""


class Test(NamedTuple):
    """How strict a test is: the `share` of alpha left to this cell, the run's looks, whether the metric is blind."""

    share: float = 1.0
    looks: tuple[int, ...] = ()
    blind: bool = False


def pass_p(rule: Rule, reading: Reading) -> float:
    """Return the p-value of "the quantity is not inside the rule's limits", at this look."""
    low, high = rule.window
    below = reading.p_below(high) if high < math.inf else 0.0
    above = reading.p_above(low) if low > -math.inf else 0.0
    return max(below, above)


def pass_alpha(rule: Rule, found: Found, test: Test) -> float:
    """Return the greatest p-value with which a rule is kept."""
    return _at_this_look(rule.alpha * test.share, found, test.looks)


def decide(rule: Rule, found: Found, test: Test) -> Decision:
    """Return the decision of one rule on one reading."""
    reading = found.reading
    assert isinstance(reading, Reading)
    alpha = rule.alpha * test.share
    p = pass_p(rule, reading)
    result: Result = "inconclusive"
    if p <= pass_alpha(rule, found, test):
        result = "pass"
    elif _fail_p(rule, reading) <= _at_this_look(_fail_alpha(rule), found, test.looks):
        result = "fail"
    lower, upper = _bounds(rule, found, test, result)
    decision = Decision(result, p, alpha, lower, upper)
    if (
        decision.result == "fail" and rule.quantity == "timing-precision"
    ):  # the run's want, not the cell's
        return decision._replace(result="inconclusive", why="imprecise")
    if decision.result == "pass" and test.blind:
        return decision._replace(result="inconclusive", why="blind")
    least = _least(rule, found, alpha)
    if result == "pass" and found.prompts is not None and found.prompts < least:
        return decision._replace(result="inconclusive", why="few", needed=least)
    if result == "inconclusive":
        needed = _needed(rule, found, alpha)
        if (
            found.resolved_from is not None
        ):  # noise falls as 1 / √prompts, the allowance for few images is gone there
            why, needed = "unresolved", min(needed or found.resolved_from, found.resolved_from)
            return decision._replace(why=why, needed=max(needed, least))
        return decision._replace(needed=None if needed is None else max(needed, least))
    return decision


def _fail_p(rule: Rule, reading: Reading) -> float:
    """Return the p-value of "the quantity keeps the limits", of the limit that is broken most clearly."""
    low, high = rule.window
    above = reading.p_above(high) if high < math.inf else 1.0
    below = reading.p_below(low) if low > -math.inf else 1.0
    return min(above, below)


def _fail_alpha(rule: Rule) -> float:
    return rule.alpha / 2 if all(map(math.isfinite, rule.window)) else rule.alpha


def _bounds(rule: Rule, found: Found, test: Test, result: Result) -> tuple[float, float]:
    """Return bounds that show the result: a side with a limit at the level of a pass, else at that of a failure."""
    assert isinstance(found.reading, Reading)
    low, high = rule.window
    passing, failing = rule.alpha * test.share, _fail_alpha(rule)
    if result == "fail" and math.isfinite(low) and math.isfinite(high):
        passing = failing
    levels = [
        1 - _at_this_look(passing if math.isfinite(end) else failing, found, test.looks)
        for end in (low, high)
    ]
    return found.reading.lower(levels[0]), found.reading.upper(levels[1])


def _at_this_look(alpha: float, found: Found, looks: tuple[int, ...]) -> float:
    return (
        alpha
        if found.prompts is None or len(looks) < 2
        else nominal_alpha(alpha, looks, found.prompts)
    )


def _least(rule: Rule, found: Found, alpha: float) -> int:
    """Return the fewest prompts with which a pass counts; a share has its exact bound and needs no such rule.

    Looks cost nothing here: a sample without a destroyed prompt was without one at every earlier look too.
    """
    if rule.quantity not in ESTIMATED:
        return 0
    return least_prompts(rule.least_damage, alpha)


def _needed(rule: Rule, found: Found, alpha: float) -> int | None:
    """Return how many prompts settle it if the quantity is as observed; None if more of them would not, or too many."""
    reading, prompts = found.reading, found.prompts
    if prompts is None or not isinstance(reading, Spread | Share):
        return None
    low, high = rule.window
    distance = min(abs(reading.observed - end) for end in (low, high) if math.isfinite(end))
    nearest = min(
        (end for end in (low, high) if math.isfinite(end)),
        key=lambda end: abs(end - reading.observed),
    )
    if math.isclose(reading.observed, nearest, rel_tol=1e-3):
        return None  # on the limit to a thousandth of it: no number of prompts is worth naming
    inside = low < reading.observed < high
    level = 1 - (alpha if inside else _fail_alpha(rule))
    needed = prompts_needed(distance, reading.error, prompts, level)
    if isinstance(reading, Share) and needed is not None:
        needed = max(needed, least_prompts(high, 1 - level)) if inside else needed
    return None if needed is None else max(needed, prompts + 1)
