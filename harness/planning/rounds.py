"""Who is owed how many images: all of them at once, or round by round as verdicts allow."""

from collections.abc import Mapping

from harness.core.damage import LADDER_IMAGES
from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan
from harness.core.quality import Evaluation
from harness.core.rule import OF_A_METRIC, OF_IMAGES
from harness.core.verdict import CellVerdict, Judgement, RuleVerdict
from harness.metrics import get_metric


def prompts_wanted(
    plan: Plan, outcomes: Mapping[str, Outcome], judgement: Judgement | None, evaluation: Evaluation | None
) -> dict[str, int]:
    """Return cell id → the number of prompts it should have images of, given the verdicts so far.

    In an adaptive run every cell begins with the first look's prompts. A cell whose verdict is settled gets no more;
    another gets the next look's. It depends only on what is on disk, so an interrupted round goes on as it began.
    """
    if not plan.looks:
        return {planned.id: len(plan.prompts_of(planned)) for planned in plan.cells}
    verdicts = {verdict.cell_id: verdict for verdict in judgement.cells} if judgement else {}
    limit = _reach_of_baseline(plan, outcomes)
    wanted = {
        planned.id: min(limit, _next_look(plan, verdicts.get(planned.id), evaluation))
        for planned in plan.cells
        if planned.role == "candidate" and planned.skip is None
    }
    wanted |= {cell_id: outcome.prompts for cell_id, outcome in _halted(outcomes) if cell_id in wanted}
    # What every cell is compared with has as many as the one that has most, but no more than a verdict waits for.
    most = max(wanted.values(), default=plan.looks[0])
    waiting = [wanted[i] for i in wanted if _waits_for_other_seed(plan, verdicts.get(i), evaluation)]
    other = max(waiting, default=plan.looks[0])
    shared = {p.id: min(other if p.role == "other-seed" else most, len(plan.prompts_of(p))) for p in plan.cells}
    return shared | wanted


def settled(verdict: CellVerdict, evaluation: Evaluation | None = None) -> bool:
    """Return whether more images could not change a verdict.

    It passed or failed; or what it lacks are no images: a metric that cannot be had here, a steadier latency. A pass
    that does not count because its metrics are blind to some damage waits for as many images as the ladder takes.
    """
    if verdict.blind_to:
        return max((rung.images for rung in evaluation.ladder), default=0) >= LADDER_IMAGES if evaluation else False
    unscored = evaluation.missing if evaluation else {}
    undecided = [rule for rule in verdict.errors if rule.result in ("inconclusive", "missing")]
    return (
        not undecided
        or verdict.result == "fail"
        or any(rule.metric in unscored for rule in undecided)
        or not any(rule.rule.quantity in OF_IMAGES for rule in undecided)
    )


def _waits_for_other_seed(plan: Plan, verdict: CellVerdict | None, evaluation: Evaluation | None) -> bool:
    """Return whether a cell's verdict needs more of the baseline's other seed, by which some losses are calibrated.

    It does not where all that is undecided does without, nor where such a rule is about to fail the cell.
    """
    if verdict is None or evaluation is None:
        return True
    if settled(verdict, evaluation):
        return False
    if verdict.blind_to:
        return True
    reference = plan.matrix.quality.reference is not None
    metrics = {delta.metric for delta in evaluation.deltas}
    alone = {name for name in metrics if not get_metric(name).needs_other_seed(reference)}
    undecided = [rule for rule in verdict.errors if rule.result in ("inconclusive", "missing")]
    failing = any(rule.metric in alone and _is_outside(rule) for rule in undecided)
    return not failing and any(rule.metric not in alone for rule in undecided if rule.rule.quantity in OF_A_METRIC)


def _is_outside(rule: RuleVerdict) -> bool:
    low, high = rule.rule.window
    return rule.observed is not None and not low < rule.observed < high


def _next_look(plan: Plan, verdict: CellVerdict | None, evaluation: Evaluation | None) -> int:
    if verdict is None:
        return plan.looks[0]
    judged_on = _prompts(verdict, evaluation)
    if settled(verdict, evaluation):
        return judged_on
    return next((look for look in plan.looks if look > judged_on), plan.looks[-1])


def _prompts(verdict: CellVerdict, evaluation: Evaluation | None) -> int:
    """Return how many prompts a cell was judged on; what could not be judged at all does not say it itself."""
    judged = [rule.prompts for rule in verdict.rules if rule.prompts is not None]
    scored = [delta.prompts for delta in evaluation.deltas if delta.cell_id == verdict.cell_id] if evaluation else []
    return max(judged or scored, default=0)


def _reach_of_baseline(plan: Plan, outcomes: Mapping[str, Outcome]) -> int:
    """Return how many prompts cells can be compared over: fewer where the baseline or its other seed was halted."""
    needed = {planned.id for planned in plan.cells if planned.role in ("baseline", "other-seed")}
    return min([plan.looks[-1], *(outcome.prompts for cell_id, outcome in _halted(outcomes) if cell_id in needed)])


def _halted(outcomes: Mapping[str, Outcome]) -> list[tuple[str, Completed]]:
    return [(cell_id, o) for cell_id, o in outcomes.items() if isinstance(o, Completed) and o.halted is not None]
