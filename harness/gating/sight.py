"""Does a pass count: would the rules that judge a cell have failed the damages that the policy names?"""

from harness.core.policy import Policy
from harness.core.quality import Evaluation, Rung
from harness.core.verdict import CellVerdict
from harness.gating.applying import Applied
from harness.stats.noticing import fails


def with_limits_of_sight(verdict: CellVerdict, rules: Applied, policy: Policy, evaluation: Evaluation) -> CellVerdict:
    """Return a verdict; a pass by rules that would let a named damage through becomes inconclusive, blind to it."""
    if verdict.result != "pass" or not policy.demanded:
        return verdict
    missed = {f: level for f, level in policy.demanded.items() if not _is_noticed(f, level, rules, evaluation)}
    if not missed:
        return verdict
    doses = "; ".join(f"{family} ({_dose(family, level, evaluation)})" for family, level in missed.items())
    reason = (
        f"blind to {', '.join(missed)}: the rules that judge this cell would not surely fail the baseline's own"
        f" pictures with {doses}, so its pass does not count"
    )
    return verdict.model_copy(update={"result": "inconclusive", "reason": reason, "blind_to": tuple(missed)})


def _is_noticed(family: str, level: int, rules: Applied, evaluation: Evaluation) -> bool:
    """Return whether some rule surely fails the damage at the level demanded, or at a lower one."""
    rungs = [rung for rung in evaluation.ladder if rung.damage == family and rung.level <= level]
    return any(
        fails(rung, [rule])
        for rung in rungs
        for rule, metric in rules
        if metric == rung.metric and rule.severity == "error" and _counts(rung, evaluation)
    )


def _counts(rung: Rung, evaluation: Evaluation) -> bool:
    """Return whether a metric's notice counts: not where more of the damage moved it less."""
    return rung.damage not in evaluation.not_monotone.get(rung.metric, ())


def _dose(family: str, level: int, evaluation: Evaluation) -> str:
    rungs = (rung for rung in evaluation.ladder if (rung.damage, rung.level) == (family, level))
    return next((f"level {level}, {rung.dose}" for rung in rungs), f"level {level}, not scored")
