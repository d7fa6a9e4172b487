"""Verdicts in sentences: what was observed, with which bounds, against which limit."""

import math
from collections.abc import Mapping, Sequence

from harness.core.policy import figure_words, limit_words, margin_words, quantity_words
from harness.core.quality import Rung
from harness.core.rule import SHARES, Rule
from harness.core.units import format_percent
from harness.gating.decision import Decision
from harness.gating.observation import Observation, Panel, Reading
from harness.results.format import bracket
from harness.stats.noninferiority import precision_needed, prompts_needed

_OBSERVED = {
    "speedup": "the speedup is {}",
    "throughput": "the throughput is {} images/s",
    "latency-s": "one call takes {}",
    "peak-memory-gib": "peak memory is {}",
    "cold-start-s": "the cold start takes {}",
    "energy-j": "an image takes {}",
    "image-cost": "an image costs {}",
    "timing-precision": "the speedup is known to within {}",
    "throttled-share": "{} of the timed blocks were throttled",
    "traced-steps": "steps in its trace: {}",
    "human-preference": "people preferred it or saw no difference in {} of answers",
}
ALL_WAIVED = "every rule of this cell is waived: nothing judges it"
FEW_RATERS = 5
"""With fewer raters their number limits a human review, not the number of pairs."""
_EXACT = ("timing-precision", "throttled-share", "traced-steps")
"""Quantities of the run's own records: repeating the measurement would not change them."""


def write_sentence(rule: Rule, metric: str, seen: Observation, decision: Decision) -> str:
    """Return a verdict in one sentence; bounds in brackets are one-sided."""
    reading = seen.reading
    assert isinstance(reading, Reading)
    observed = _write_observed(rule, metric, seen, decision)
    return f"{observed}: {_conclude(rule, reading, seen, decision)}"


def explain_blindness(missed: Mapping[str, int], ladder: Sequence[Rung]) -> str:
    """Return why a pass does not count whose rules would miss these damages at these levels."""
    doses = "; ".join(
        f"{family} ({_dose(family, level, ladder)})" for family, level in missed.items()
    )
    return (
        f"blind to {', '.join(missed)}: the rules that judge this cell would not surely fail the"
        f" baseline's own images with {doses}, so its pass does not count"
    )


def _dose(family: str, level: int, ladder: Sequence[Rung]) -> str:
    rungs = (rung for rung in ladder if (rung.damage, rung.level) == (family, level))
    return next((f"level {level}, {rung.dose}" for rung in rungs), f"level {level}, not scored")


def _write_observed(rule: Rule, metric: str, seen: Observation, decision: Decision) -> str:
    reading = seen.reading
    assert isinstance(reading, Reading)
    if rule.quantity in ("loss", "change"):
        digits = 1 if max(abs(decision.upper), abs(decision.lower)) >= 0.002 else 2
        sign = "+" if rule.quantity == "change" and reading.observed > 0 else ""
        share = sign + _write_share(reading.observed, decision, digits)
        if rule.quantity == "loss":
            whole = seen.definition.whole if seen.definition else "of its range"
            return f"{metric} lost {share} {whole}"
        return f"{metric} changed by {share} of the baseline's score (positive is worse)"
    if rule.quantity == "broken-share":
        return f"{reading.note}, {_write_share(reading.observed, decision, 1)}"
    if rule.quantity == "worst-decile":
        return f"the worst decile of {metric} is {figure_words(reading.observed)}"
    write = format_percent if rule.quantity in SHARES else figure_words
    ends = (write(decision.lower), write(decision.upper))
    if rule.quantity == "score":
        return f"{metric} scored {bracket(figure_words(reading.observed), *ends)}"
    value = quantity_words(rule, reading.observed)
    value = bracket(value, *ends) if reading.has_interval else f"{value} {reading.note}".rstrip()
    return _OBSERVED[rule.quantity].format(value)


def _write_share(observed: float, decision: Decision, digits: int) -> str:
    ends = (format_percent(end, digits) for end in (observed, decision.lower, decision.upper))
    return bracket(*ends)


def _conclude(rule: Rule, reading: Reading, seen: Observation, decision: Decision) -> str:
    limit = limit_words(rule) if rule.margin is not None else f"the limit of {limit_words(rule)}"
    if decision.why:
        return _explain_no_pass(rule, seen, decision, limit)
    verb = "passes" if decision.result == "pass" else "fails"
    if not reading.has_interval:
        single = "" if rule.quantity in _EXACT else " (one measurement, no interval)"
        return f"{verb} {limit}{single}"
    if decision.result == "inconclusive":
        return f"inconclusive against {limit} {_say_what_decides(rule, reading, seen, decision)}"
    level = 1 - decision.alpha if decision.result == "pass" else rule.level
    return f"{verb} {limit} at {_write_level(level)} confidence"


def _explain_no_pass(rule: Rule, seen: Observation, decision: Decision, limit: str) -> str:
    if decision.why == "imprecise":
        return f"misses {limit}; raise measure.max_s"
    if decision.why == "unresolved":
        return (
            f"inconclusive against {limit} with {seen.prompts:,} prompts, too few for the variety"
            f" that this metric measures; about {decision.needed:,} would decide"
        )
    inside = f"observed {'below' if rule.quantity == 'loss' else 'within'} {limit}"
    if decision.why == "blind":
        return f"{inside}, but no damage moved this metric here: its pass does not count"
    return (
        f"{inside}, but {seen.prompts:,} prompts cannot exclude that"
        f" {margin_words(rule.least_damage)} of the images are destroyed; {decision.needed:,} can"
    )


def _say_what_decides(rule: Rule, reading: Reading, seen: Observation, decision: Decision) -> str:
    if reading.panel is not None:
        return _say_how_many_pairs(rule, reading, reading.panel, decision)
    if reading.samples and reading.error is None:
        return f"with {reading.samples}; raise measure.max_s"
    if reading.samples:
        (end,) = (end for end in rule.window if math.isfinite(end))
        needed = precision_needed(reading.observed, end, 1 - decision.alpha)
        finer = f"a precision of ±{margin_words(needed or 0.0)} (measure.precision, measure.max_s)"
        return f"with {reading.samples}; {f'{finer} would decide' if needed else _TOO_CLOSE}"
    needed = decision.needed
    return (
        f"with {seen.prompts} prompts; {f'about {needed:,} would decide' if needed else _TOO_CLOSE}"
    )


def _say_how_many_pairs(rule: Rule, reading: Reading, panel: Panel, decision: Decision) -> str:
    if panel.raters < FEW_RATERS:
        return f"with {reading.samples}; ask {FEW_RATERS} raters or more"
    distance, error = abs(reading.observed - rule.window[0]), reading.error or 0.0
    needed = prompts_needed(distance, error, panel.pairs, 1 - decision.alpha)
    if needed is None:
        return _TOO_CLOSE
    enough = f"about {max(needed, panel.pairs + 1):,} pairs by as many raters would decide"
    return f"with {reading.samples}; {enough}"


_TOO_CLOSE = "too close to the limit to decide"


def _write_level(level: float) -> str:
    fine = 1 if level < 0.999 and round(level * 100, 4) % 1 else 2 if level >= 0.999 else 0
    return format_percent(level, fine)
