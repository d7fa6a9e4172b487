"""The sentence of a verdict: what was lost, of what, how sure, against which margin."""

from dataclasses import dataclass

from harness.core.matrix import Gate
from harness.core.quality import Delta
from harness.core.units import format_percent
from harness.core.verdict import Result

BASELINE_AT_OTHER_SEEDS = "the baseline at other seeds"


@dataclass(frozen=True)
class Finding:
    """A judged metric: bounds as shares; `why` says why a pass does not count (blind, few) or is empty."""

    delta: Delta
    gate: Gate
    result: Result
    observed: float
    lower: float
    upper: float
    level: float
    needed: int | None
    why: str


def sentence(finding: Finding) -> str:
    """Return one sentence a person can check against the bounds in brackets, which are one-sided."""
    margin = format_percent(finding.gate.margin, 1 if finding.gate.margin * 100 % 1 else 0)
    return f"{_loss(finding)}: {_conclusion(finding, margin)}"


def _loss(finding: Finding) -> str:
    digits = 1 if finding.upper >= 0.002 else 2
    bounds = ", ".join(format_percent(x, digits).removesuffix(" %") for x in (finding.lower, finding.upper))
    observed = format_percent(finding.observed, digits)
    return f"{finding.delta.metric} lost {observed} [{bounds}] {_of_what(finding)}"


def _of_what(finding: Finding) -> str:
    """Say what 100 % is."""
    if finding.gate.loss == "literal":
        return "of the baseline's score"
    definition = finding.delta.definition
    if definition.kind == "alignment":
        return "of its range above chance"
    if definition.kind == "paired":
        return "of the distance between two seeds"
    if definition.reference.startswith(BASELINE_AT_OTHER_SEEDS):
        return "of the baseline's variety"
    return "of the baseline's distance to the reference set"


def _conclusion(finding: Finding, margin: str) -> str:
    if finding.result == "pass":
        return f"passes {margin} at {_level(finding.level)} confidence"
    if finding.result == "fail":
        return f"fails {margin} at {_level(1 - finding.gate.alpha)} confidence"
    if finding.why == "blind":
        return f"looks below {margin}, but no control could move this metric here, so its pass does not count"
    if finding.why == "few":
        return (
            f"looks below {margin}, but {finding.delta.prompts} prompts cannot exclude that a share of {margin} is"
            f" destroyed; {finding.needed} can"
        )
    ahead = f"about {finding.needed:,} would settle it" if finding.needed else "it lies too close to settle"
    return f"cannot be told from {margin} with {finding.delta.prompts} prompts; {ahead}"


def _level(level: float) -> str:
    return format_percent(level, 1 if level < 0.999 and round(level * 100, 4) % 1 else 2 if level >= 0.999 else 0)
