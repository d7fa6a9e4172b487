"""Is a quantity surely inside its limits, surely outside, or undecided?

Inside needs one one-sided test per limit, all of which must reject (two limits: TOST, Schuirmann
1987). Only a pass is corrected across cells. Outside is tested at the rule's own level, halved
between two limits, for either may fail. At interim analyses each test has the level of its
analysis, so that the whole sequence keeps the rule's level.
"""

import math
from typing import NamedTuple

from harness.core.rule import ESTIMATED, Rule
from harness.core.verdict import Result
from harness.gating.observation import Observation, Reading
from harness.stats.noninferiority import least_prompts, prompts_needed
from harness.stats.sequential import nominal_alpha


class Decision(NamedTuple):
    """A result with its bounds and p-value; `why` not a pass: blind, few, unresolved, imprecise."""

    result: Result
    p_value: float
    alpha: float
    lower: float
    upper: float
    needed: int | None = None
    why: str = ""


class Test(NamedTuple):
    """The cell's `share` of alpha, the run's interim analyses, whether the metric is blind."""

    share: float = 1.0
    analyses: tuple[int, ...] = ()
    blind: bool = False


def pass_p(rule: Rule, reading: Reading) -> float:
    """Return the p-value of "the quantity is not inside the rule's limits"."""
    low, high = rule.window
    below = reading.p_below(high) if high < math.inf else 0.0
    above = reading.p_above(low) if low > -math.inf else 0.0
    return max(below, above)


def pass_alpha(rule: Rule, seen: Observation, test: Test) -> float:
    """Return the greatest p-value with which a rule is kept."""
    return _at_this_analysis(rule.alpha * test.share, seen, test.analyses)


def decide(rule: Rule, seen: Observation, test: Test) -> Decision:
    """Return the decision of one rule on one reading."""
    reading = seen.reading
    assert isinstance(reading, Reading)
    alpha = rule.alpha * test.share
    p = pass_p(rule, reading)
    result: Result = "inconclusive"
    if p <= pass_alpha(rule, seen, test):
        result = "pass"
    elif _fail_p(rule, reading) <= _at_this_analysis(_fail_alpha(rule), seen, test.analyses):
        result = "fail"
    lower, upper = _bounds(rule, seen, test, result)
    decision = Decision(result, p, alpha, lower, upper)
    if (
        decision.result == "fail" and rule.quantity == "timing-precision"
    ):  # more rounds may reach it
        return decision._replace(result="inconclusive", why="imprecise")
    if decision.result == "pass" and test.blind:
        return decision._replace(result="inconclusive", why="blind")
    least = _least(rule, seen, alpha)
    if result == "pass" and seen.prompts is not None and seen.prompts < least:
        return decision._replace(result="inconclusive", why="few", needed=least)
    if result == "inconclusive":
        needed = _needed(rule, seen, alpha)
        if seen.resolved_from is not None:  # no allowance for few images from there on
            why, needed = "unresolved", min(needed or seen.resolved_from, seen.resolved_from)
            return decision._replace(why=why, needed=max(needed, least))
        return decision._replace(needed=None if needed is None else max(needed, least))
    return decision


def _fail_p(rule: Rule, reading: Reading) -> float:
    """Return the p-value of "the quantity keeps the limits", by the most clearly broken one."""
    low, high = rule.window
    above = reading.p_above(high) if high < math.inf else 1.0
    below = reading.p_below(low) if low > -math.inf else 1.0
    return min(above, below)


def _fail_alpha(rule: Rule) -> float:
    return rule.alpha / 2 if all(map(math.isfinite, rule.window)) else rule.alpha


def _bounds(rule: Rule, seen: Observation, test: Test, result: Result) -> tuple[float, float]:
    """Return bounds that show the result: towards a limit at a pass's level, else a failure's."""
    assert isinstance(seen.reading, Reading)
    low, high = rule.window
    passing, failing = rule.alpha * test.share, _fail_alpha(rule)
    if result == "fail" and math.isfinite(low) and math.isfinite(high):
        passing = failing
    levels = [
        1 - _at_this_analysis(passing if math.isfinite(end) else failing, seen, test.analyses)
        for end in (low, high)
    ]
    return seen.reading.lower(levels[0]), seen.reading.upper(levels[1])


def _at_this_analysis(alpha: float, seen: Observation, analyses: tuple[int, ...]) -> float:
    if seen.prompts is None or len(analyses) < 2:
        return alpha
    return nominal_alpha(alpha, analyses, seen.prompts)


def _least(rule: Rule, seen: Observation, alpha: float) -> int:
    """Return the fewest prompts with which a pass counts; shares have exact bounds instead.

    Interim analyses cost nothing here: a sample without a destroyed prompt had none earlier.
    """
    if rule.quantity not in ESTIMATED:
        return 0
    return least_prompts(rule.least_damage, alpha)


def _needed(rule: Rule, seen: Observation, alpha: float) -> int | None:
    """Return the prompts that would decide if the quantity is as observed; None if none would."""
    reading, prompts = seen.reading, seen.prompts
    assert isinstance(reading, Reading)
    if prompts is None or reading.error is None:
        return None
    low, high = rule.window
    ends = [end for end in (low, high) if math.isfinite(end)]
    nearest = min(ends, key=lambda end: abs(end - reading.observed))
    if math.isclose(reading.observed, nearest, rel_tol=1e-3):
        return None  # on the limit: no number of prompts would decide
    inside = low < reading.observed < high
    level = 1 - (alpha if inside else _fail_alpha(rule))
    needed = prompts_needed(abs(reading.observed - nearest), reading.error, prompts, level)
    if rule.quantity == "broken-share" and needed is not None:
        needed = max(needed, least_prompts(high, 1 - level)) if inside else needed
    return None if needed is None else max(needed, prompts + 1)
