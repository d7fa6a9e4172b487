"""The verdict of one cell from the verdicts of its rules."""

from harness.core.units import Absent
from harness.core.verdict import CellVerdict, RuleVerdict, worst_of
from harness.gating.applying import Applied
from harness.gating.deciding import Test, decide
from harness.gating.evidence import Evidence
from harness.gating.wording import sentence_of


def judge_cell(cell_id: str, rules: Applied, evidence: Evidence, share: float) -> CellVerdict:
    """Return the verdict of one cell whose passing rules are held against `share` of their alpha.

    Any failing rule fails the cell; then any missing one makes it missing, then any inconclusive one inconclusive.
    Warnings are judged at their own level and change nothing.
    """
    verdicts = []
    for rule, metric in rules:
        found = evidence.find(rule, metric, cell_id)
        if isinstance(found.reading, Absent):
            sentence = f"{metric or rule.quantity} is missing: {found.reading.absent}"
            verdicts.append(RuleVerdict(rule=rule, metric=metric, result="missing", sentence=sentence))
            continue
        blind = metric in evidence.evaluation.blind
        decision = decide(rule, found, Test(share if rule.severity == "error" else 1.0, evidence.plan.looks, blind))
        verdicts.append(RuleVerdict(
            rule=rule,
            metric=metric,
            result=decision.result,
            observed=found.reading.observed,
            lower=decision.lower,
            upper=decision.upper,
            p_value=decision.p_value if found.reading.sure else None,
            level=1 - decision.alpha if found.reading.sure else None,
            prompts=found.prompts,
            prompts_needed=decision.needed,
            sentence=sentence_of(rule, metric, found, decision),
        ))  # fmt: skip
    return _conclude(CellVerdict(cell_id=cell_id, result="missing", rules=tuple(verdicts), reason=""), evidence)


def _conclude(cell: CellVerdict, evidence: Evidence) -> CellVerdict:
    if not cell.errors:
        reason = (
            "no rule judges this cell"
            if evidence.deltas(cell.cell_id)
            else "not evaluated yet: run harness evaluate again"
        )
        return cell.model_copy(update={"reason": reason})
    result = worst_of({verdict.result for verdict in cell.errors})
    return cell.model_copy(update={"result": result, "reason": _reason(cell.errors, result)})


def _reason(verdicts: tuple[RuleVerdict, ...], result: str) -> str:
    if result != "pass":
        return "; ".join(verdict.sentence for verdict in verdicts if verdict.result == result)
    closest = max(verdicts, key=lambda verdict: verdict.p_value or 0.0)
    return f"all {len(verdicts)} pass; closest: {closest.sentence}" if len(verdicts) > 1 else closest.sentence
