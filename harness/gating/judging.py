"""Judge a run: every candidate against every rule of a policy, corrected across cells."""

from collections.abc import Mapping
from pathlib import Path

from harness.core.errors import ResultsError
from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan
from harness.core.policy import Policy
from harness.core.quality import Evaluation
from harness.core.rule import Rule
from harness.core.verdict import Judgement
from harness.gating.applying import Applied, rules_for, unused
from harness.gating.cell import judge_cell
from harness.gating.deciding import Test, pass_alpha, pass_p
from harness.gating.evidence import Evidence, Found
from harness.gating.readings import Reading
from harness.gating.sight import with_limits_of_sight
from harness.stats.noninferiority import holm_shares
from harness.store import read_evaluation, read_outcomes, read_plan, read_traced, write_judgement


def judge(run: Path, policy: Policy | None = None) -> Judgement:
    """Judge an evaluated run by a policy, or by the one it was planned with; store and return the verdicts.

    Raises ResultsError if the run was not evaluated yet.
    """
    plan = read_plan(run)
    evaluation = read_evaluation(run)
    if evaluation is None:
        raise ResultsError("the run was not evaluated yet", str(run), "Run: harness evaluate " + run.name)
    outcomes = read_traced(run, read_outcomes(run)).outcomes
    judgement = judge_evaluation(plan, evaluation, outcomes, policy)
    write_judgement(run, judgement)
    return judgement


def judge_evaluation(
    plan: Plan, evaluation: Evaluation, outcomes: Mapping[str, Outcome], policy: Policy | None = None
) -> Judgement:
    """Return the verdicts of the completed candidates, in the plan's order.

    Tested for each cell: H0 "some rule is not kept", rejected where every rule's test rejects (intersection–union: no
    correction within a cell). Across cells Holm's step-down keeps the chance of passing any cell that should not pass
    at or below the largest alpha of the rules. Failing uses alpha as it is: it chooses nothing.
    """
    policy = policy or plan.policy
    evidence = Evidence(plan, evaluation, outcomes)
    cells = [p.cell for p in plan.cells if p.role == "candidate" and isinstance(outcomes.get(p.id), Completed)]
    rules = {cell.id: rules_for(cell, policy, evidence) for cell in cells}
    judged = [cell_id for cell_id, found in rules.items() if found or plan.model.quality_applies]
    shares = _shares(rules, evidence) if policy.correction == "holm" else {}
    verdicts = tuple(
        with_limits_of_sight(
            judge_cell(cell_id, rules[cell_id], evidence, shares.get(cell_id, 1.0)), rules[cell_id], policy, evaluation
        )
        for cell_id in judged
    )
    return Judgement(run_id=plan.run_id, policy=policy, cells=verdicts, notes=unused(policy, plan))


def _shares(rules: Mapping[str, Applied], evidence: Evidence) -> dict[str, float]:
    """Return the share of alpha each cell is held against; cells with a missing figure cannot pass and take none.

    Where a run looks several times, a figure that is missing now may be there at a later look: every planned cell takes
    its share from the start, so that a cell that passed once has passed.
    """
    tests: dict[str, list[tuple[Rule, Found, float]]] = {}
    for cell_id, applied in rules.items():
        errors = [(rule, evidence.find(rule, metric, cell_id)) for rule, metric in applied if rule.severity == "error"]
        if errors and all(isinstance(found.reading, Reading) for _, found in errors):
            tests[cell_id] = [(rule, found, pass_p(rule, found.reading)) for rule, found in errors]  # type: ignore[arg-type]

    def passes(cell_id: str, share: float) -> bool:
        test = Test(share, evidence.plan.looks)
        return cell_id in tests and all(p <= pass_alpha(rule, found, test) for rule, found, p in tests[cell_id])

    planned = [p.id for p in evidence.plan.cells if p.role == "candidate" and p.skip is None]
    return holm_shares(planned if evidence.plan.looks else tests, passes)
