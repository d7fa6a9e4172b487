"""Verdicts of rules, cells and the run."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.policy import Policy, Waiver
from harness.core.rule import Rule

Result = Literal["pass", "fail", "inconclusive", "missing"]
_WORST_FIRST: tuple[Result, ...] = ("fail", "missing", "inconclusive")


def pick_worst(results: set[Result]) -> Result:
    """Return the worst of some results: fail, missing, inconclusive, pass."""
    return next((worst for worst in _WORST_FIRST if worst in results), "pass")


class RuleVerdict(Frozen):
    """The verdict of one rule on one cell, with the observed value and a sentence that explains it.

    `observed` and the bounds are in the quantity's own unit: shares, scores, ratios, seconds, GiB.
    """

    rule: Rule
    metric: str = ""
    """The metric that was judged; empty where the quantity is not of a metric."""
    result: Result
    observed: float | None = None
    lower: float | None = None
    upper: float | None = None
    """One-sided confidence bounds: against a limit at the level used to pass, else at the rule's
    own."""
    p_value: float | None = None
    """Of "the quantity is not inside the limits", at this interim analysis."""
    level: float | None = None
    """Confidence a pass must have: the rule's, or stricter under Holm's correction; None for a
    plain number.

    It is that of the whole test: in a run that looks several times the bounds are wider, as if at a
    higher level.
    """
    prompts: int | None = None
    prompts_needed: int | None = None
    """Required samples: prompts that would decide an inconclusive verdict with 90 % power."""
    sentence: str
    waiver: Waiver | None = None
    """Why this rule does not count although it did not pass."""


class CellVerdict(Frozen):
    """May this cell ship? It passes when every rule of severity error passes; warnings never change
    the result."""

    cell_id: str
    result: Result
    rules: tuple[RuleVerdict, ...]
    reason: str
    blind_to: tuple[str, ...] = ()
    """Blind spots: damages that the policy names and the rules of this cell would pass."""
    blindness_waiver: Waiver | None = None
    """Why a pass counts although it is blind to these damages."""

    @property
    def errors(self) -> tuple[RuleVerdict, ...]:
        """The verdicts that decide: of error rules that are not waived."""
        return tuple(v for v in self.rules if v.rule.severity == "error" and v.waiver is None)

    @property
    def waived(self) -> tuple[RuleVerdict, ...]:
        """The verdicts that would have decided, were they not waived."""
        return tuple(verdict for verdict in self.rules if verdict.waiver is not None)

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """The waivers that this cell needed, each once."""
        found = (*(verdict.waiver for verdict in self.rules), self.blindness_waiver)
        return tuple(dict.fromkeys(waiver for waiver in found if waiver is not None))

    @property
    def waiver_count(self) -> int:
        return len(self.waivers)

    @property
    def warnings(self) -> tuple[RuleVerdict, ...]:
        """Verdicts of warning rules that did not pass."""
        return tuple(v for v in self.rules if v.rule.severity == "warning" and v.result != "pass")


class Judgement(Frozen):
    """The gate's answer for a run under a policy: stored as verdicts.json."""

    run_id: str
    policy: Policy
    cells: tuple[CellVerdict, ...]
    notes: tuple[str, ...] = ()
    """Notes for readers, such as a rule that fits no cell."""

    @property
    def result(self) -> Result:
        """The worst verdict of all judged cells."""
        return pick_worst({cell.result for cell in self.cells})

    @property
    def waivers(self) -> tuple[Waiver, ...]:
        """The waivers that the cells needed."""
        return tuple(waiver for cell in self.cells for waiver in cell.waivers)
