"""The sentence of a verdict: what was found, how sure, against which limit."""

import math

from harness.core.limits import figure_words, limit_words, margin_words, quantity_words
from harness.core.rule import Rule
from harness.core.units import format_percent
from harness.gating.deciding import Decision
from harness.gating.evidence import Found
from harness.gating.readings import Number, Once, Reading, Share, Timed
from harness.stats.noninferiority import precision_needed

_FOUND = {
    "speedup": "the speedup is {}",
    "throughput": "images per second: {}",
    "latency-s": "one call takes {}",
    "peak-memory-gib": "peak memory is {}",
    "cold-start-s": "the cold start takes {}",
    "energy-j": "an image takes {}",
    "image-cost": "an image costs {}",
    "timing-precision": "its speedup is known to within {}",
    "throttled-share": "{} of the timed blocks were slowed",
    "traced-steps": "steps in its trace: {}",
}
_OF_THE_RECORD = ("timing-precision", "throttled-share", "traced-steps")
"""Plain numbers that are what they are: nothing would come out differently another time."""


def sentence_of(rule: Rule, metric: str, found: Found, decision: Decision) -> str:
    """Return one sentence a person can check against the bounds in brackets, which are one-sided."""
    return f"{_observed(rule, metric, found, decision)}: {_conclusion(rule, found, decision)}"


def _observed(rule: Rule, metric: str, found: Found, decision: Decision) -> str:
    reading = found.reading
    assert isinstance(reading, Reading)
    if rule.quantity in ("loss", "change"):
        digits = 1 if max(abs(decision.upper), abs(decision.lower)) >= 0.002 else 2
        lower, upper = (
            format_percent(x, digits).removesuffix(" %") for x in (decision.lower, decision.upper)
        )
        sign = "+" if rule.quantity == "change" and reading.observed > 0 else ""
        share = f"{sign}{format_percent(reading.observed, digits)} [{lower}, {upper}]"
        if rule.quantity == "loss":
            return f"{metric} lost {share} {found.definition.whole if found.definition else 'of its range'}"
        return f"{metric} changed by {share} of the baseline's score (positive is worse)"
    if isinstance(reading, Share):
        lower, upper = (
            format_percent(x).removesuffix(" %") for x in (decision.lower, decision.upper)
        )
        share = f"{format_percent(reading.observed)} [{lower}, {upper}]"
        return f"{reading.count:,} of {reading.images:,} images are broken, {share}"
    if rule.quantity == "worst-decile":
        return f"the worst decile of {metric} is {figure_words(reading.observed)}"
    bounds = (
        f" [{figure_words(decision.lower)}, {figure_words(decision.upper)}]" if reading.sure else ""
    )
    if rule.quantity == "score":
        return f"{metric} scored {figure_words(reading.observed)}{bounds}"
    what = f" {reading.what}" if isinstance(reading, Number) and reading.what else ""
    return _FOUND[rule.quantity].format(quantity_words(rule, reading.observed) + what + bounds)


def _conclusion(rule: Rule, found: Found, decision: Decision) -> str:
    reading = found.reading
    assert isinstance(reading, Reading)
    limit = limit_words(rule) if rule.margin is not None else f"the limit of {limit_words(rule)}"
    if decision.why:
        return _why_no_pass(rule, found, decision, limit)
    verb = "passes" if decision.result == "pass" else "fails"
    if not reading.sure:
        return f"{verb} {limit}{'' if rule.quantity in _OF_THE_RECORD else ' (one measurement, no interval)'}"
    if decision.result == "inconclusive":
        return f"cannot be told from {limit} {_ahead(rule, found, decision)}"
    level = 1 - decision.alpha if decision.result == "pass" else rule.level
    return f"{verb} {limit} at {_level(level)} confidence"


def _why_no_pass(rule: Rule, found: Found, decision: Decision, limit: str) -> str:
    looks = f"looks {'below' if rule.quantity == 'loss' else 'right for'} {limit}"
    if decision.why == "blind":
        return f"{looks}, but no damage could move this metric here, so its pass does not count"
    if decision.why == "few":
        return (
            f"{looks}, but {found.prompts:,} prompts cannot exclude that a share of"
            f" {margin_words(rule.least_damage)} is destroyed; {decision.needed:,} can"
        )
    if decision.why == "imprecise":
        return f"misses {limit}, which more time (measure.max_s) would reach"
    return (
        f"cannot be told from {limit} with {found.prompts:,} prompts, too few to show all the variety this metric"
        f" sees; about {decision.needed:,} would settle it"
    )


def _ahead(rule: Rule, found: Found, decision: Decision) -> str:
    """Say what would settle it."""
    reading = found.reading
    if isinstance(reading, Once):
        return f"with {reading.looks}; more of them (measure.max_s) would settle it"
    if isinstance(reading, Timed):
        (end,) = (end for end in rule.window if math.isfinite(end))
        needed = precision_needed(reading.observed, end, 1 - decision.alpha) or 0.0
        ahead = f"to know it to ±{margin_words(needed)} (measure.precision, measure.max_s) would settle it"
        return f"with {reading.looks}; {ahead if needed else 'it lies too close to settle'}"
    ahead = (
        f"about {decision.needed:,} would settle it"
        if decision.needed
        else "it lies too close to settle"
    )
    return f"with {found.prompts} prompts; {ahead}"


def _level(level: float) -> str:
    return format_percent(
        level, 1 if level < 0.999 and round(level * 100, 4) % 1 else 2 if level >= 0.999 else 0
    )
