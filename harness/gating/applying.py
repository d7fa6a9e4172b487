"""Which rules judge a cell: those that fit it, spelled out metric by metric; of rules on the same thing the last."""

from harness.core.cell import Cell
from harness.core.limits import rule_words
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.core.quality import Delta
from harness.core.rule import OF_A_METRIC, OF_IMAGES, Rule
from harness.core.units import Absent
from harness.gating.evidence import Evidence

Applied = tuple[tuple[Rule, str], ...]
"""Rules with the one metric that each judges, empty where the quantity is not of a metric."""


def rules_for(cell: Cell, policy: Policy, evidence: Evidence) -> Applied:
    """Return the rules that judge a cell; rules about images only where the model's quality means something."""
    decided: dict[tuple[str, str, str], tuple[Rule, str]] = {}
    for rule in policy.gate:
        if not rule.fits(cell) or (rule.quantity in OF_IMAGES and not evidence.plan.model.quality_applies):
            continue
        for metric in _metrics(rule, cell.id, evidence):
            key = (rule.quantity, metric, rule.severity)
            decided.pop(key, None)  # the later rule takes its own place in the order
            decided[key] = (rule, metric)
    return tuple(decided.values())


def _metrics(rule: Rule, cell_id: str, evidence: Evidence) -> list[str]:
    """Return the metrics a rule means for a cell: those it names, or all that gate by default."""
    if rule.quantity not in OF_A_METRIC:
        return [""]
    deltas, missing = evidence.deltas(cell_id), evidence.evaluation.missing
    if rule.metric:
        named = [delta for delta in deltas if rule.names(delta.metric)]
        absent = [name for name in missing if rule.names(name)]
        meant = [delta.metric for delta in named if _may_judge(rule, delta)] + absent
        return meant if named or absent else [rule.metric]
    return [delta.metric for delta in deltas if delta.gates and _has_a_figure(rule, delta)] + list(missing)


def _may_judge(rule: Rule, delta: Delta) -> bool:
    """A loss that is only reported for this cell judges it under no rule; its score may: that is about the pictures."""
    return rule.quantity != "loss" or delta.gates or delta.if_named


def _has_a_figure(rule: Rule, delta: Delta) -> bool:
    """A paired metric has no relative change by its nature: a rule on all metrics' changes does not mean it."""
    return not (rule.quantity == "change" and delta.definition.kind == "paired" and isinstance(delta.literal, Absent))


def unused(policy: Policy, plan: Plan) -> tuple[str, ...]:
    """Return a line for each rule that fits none of the planned candidates."""
    cells = [planned.cell for planned in plan.cells if planned.role == "candidate"]
    return tuple(
        f"rule {number} of the policy fits no cell: {rule_words(rule)}"
        for number, rule in enumerate(policy.gate, 1)
        if not any(rule.fits(cell) for cell in cells)
    )
