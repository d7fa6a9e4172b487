"""Interim analyses of an adaptive run: at how many prompts cells are judged, and which cells need more images."""

import math
from collections.abc import Mapping, Sequence

from harness.core.axis import Cell
from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan
from harness.core.policy import LADDER_IMAGES, Policy
from harness.core.quality import Evaluation
from harness.core.rule import ESTIMATED, OF_A_METRIC, OF_IMAGES
from harness.core.verdict import CellVerdict, Judgement, RuleVerdict
from harness.metrics import get_metric
from harness.stats.noninferiority import least_prompts

EARLY_SHARE = 0.4
"""The first look comes at this share of the prompts that a pass needs: it can only stop cells that surely fail."""
FEWEST = 20
"""An interval from fewer prompts decides nothing."""
GROWTH = 1.4
MAX_INTERIM_ANALYSES = 6
"""From the first possible pass on; each further look costs a little of every other look's level."""


def plan_interim_analyses(plan: Plan) -> Plan:
    """Return the plan with the looks of an adaptive run; as it is where the matrix asks for all images."""
    if plan.matrix.quality.images != "auto" or not plan.model.quality_applies:
        return plan
    cells = [planned.cell for planned in plan.cells if planned.role == "candidate" and planned.skip is None]
    most, to_pass = len(plan.prompts), prompts_to_pass(plan.policy, cells)
    interim_analyses = choose_interim_analyses(most, to_pass)
    notes = [
        f"adaptive: interim analyses after {', '.join(map(str, interim_analyses))} prompts; the estimate is for {most}"
    ]
    if to_pass > most:
        notes.append(f"no cell can pass with {most} prompts: {len(cells)} cells under this policy need {to_pass}")
    return plan.model_copy(update={"interim_analyses": interim_analyses, "notes": (*plan.notes, *notes)})


def choose_interim_analyses(most: int, to_pass: int) -> tuple[int, ...]:
    """Return the looks (cumulative prompts, rising, the last is `most`) where a pass needs at least `to_pass` prompts.

    One look before a pass is possible stops hopeless cells cheaply; then the first possible pass; then about 1.4 times
    as many prompts each time. Where `most` prompts cannot pass a cell, failing is all there is to look for.
    """
    first = min(to_pass, most)
    early = round(EARLY_SHARE * first)
    interim_analyses = {first, most} | ({early} if early >= FEWEST else set())
    steps = min(MAX_INTERIM_ANALYSES - 1, round(math.log(most / first, GROWTH))) if most > first else 0
    interim_analyses |= {round(first * (most / first) ** (step / steps)) for step in range(1, steps)}
    return tuple(sorted(interim_analyses))


def prompts_to_pass(policy: Policy, cells: Sequence[Cell]) -> int:
    """Return the prompts without which the policy passes no cell, at the strictest level Holm may hold one against.

    The level is not spent over looks: a sample without a single destroyed prompt was without one at every earlier look
    too, so the chance of being fooled at any look is that of the first.
    """
    share = 1 / max(1, len(cells)) if policy.correction == "holm" else 1.0
    rules = {(rule.quantity, rule.metric, str(rule.where)): rule for rule in policy.gate if rule.severity == "error"}
    needed = [
        least_prompts(rule.least_damage, rule.alpha * share)
        for rule in rules.values()
        if rule.quantity in ESTIMATED and any(rule.fits(cell) for cell in cells)
    ]
    return max(needed, default=FEWEST)


def prompts_wanted(
    plan: Plan, outcomes: Mapping[str, Outcome], judgement: Judgement | None, evaluation: Evaluation | None
) -> dict[str, int]:
    """Return cell id → the number of prompts it should have images of, given the verdicts so far.

    In an adaptive run every cell begins with the first look's prompts. A cell whose verdict is settled gets no more;
    another gets the next look's. It depends only on what is on disk, so an interrupted round goes on as it began.
    """
    if not plan.interim_analyses:
        return {planned.id: len(plan.get_prompts(planned)) for planned in plan.cells}
    verdicts = {verdict.cell_id: verdict for verdict in judgement.cells} if judgement else {}
    limit = _baseline_limit(plan, outcomes)
    wanted = {
        planned.id: min(limit, _next_analysis(plan, verdicts.get(planned.id), evaluation))
        for planned in plan.cells
        if planned.role == "candidate" and planned.skip is None
    }
    wanted |= {cell_id: outcome.prompts for cell_id, outcome in _halted(outcomes) if cell_id in wanted}
    # What every cell is compared with has as many as the one that has most, but no more than a verdict waits for.
    most = max(wanted.values(), default=plan.interim_analyses[0])
    waiting = [wanted[i] for i in wanted if _waits_for_other_seed(plan, verdicts.get(i), evaluation)]
    other = max(waiting, default=plan.interim_analyses[0])
    shared = {p.id: min(other if p.role == "other-seed" else most, len(plan.get_prompts(p))) for p in plan.cells}
    return shared | wanted


def is_decided(verdict: CellVerdict, evaluation: Evaluation | None = None) -> bool:
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
    if is_decided(verdict, evaluation):
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


def _next_analysis(plan: Plan, verdict: CellVerdict | None, evaluation: Evaluation | None) -> int:
    if verdict is None:
        return plan.interim_analyses[0]
    judged_on = _prompts(verdict, evaluation)
    if is_decided(verdict, evaluation):
        return judged_on
    return next((analysis for analysis in plan.interim_analyses if analysis > judged_on), plan.interim_analyses[-1])


def _prompts(verdict: CellVerdict, evaluation: Evaluation | None) -> int:
    """Return how many prompts a cell was judged on; what could not be judged at all does not say it itself."""
    judged = [rule.prompts for rule in verdict.rules if rule.prompts is not None]
    scored = [delta.prompts for delta in evaluation.deltas if delta.cell_id == verdict.cell_id] if evaluation else []
    return max(judged or scored, default=0)


def _baseline_limit(plan: Plan, outcomes: Mapping[str, Outcome]) -> int:
    """Return how many prompts cells can be compared over: fewer where the baseline or its other seed was halted."""
    needed = {planned.id for planned in plan.cells if planned.role in ("baseline", "other-seed")}
    return min(
        [plan.interim_analyses[-1], *(outcome.prompts for cell_id, outcome in _halted(outcomes) if cell_id in needed)]
    )


def _halted(outcomes: Mapping[str, Outcome]) -> list[tuple[str, Completed]]:
    return [(cell_id, o) for cell_id, o in outcomes.items() if isinstance(o, Completed) and o.halted is not None]
