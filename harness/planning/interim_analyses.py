"""Interim analyses of an adaptive run: when cells are judged, and which need more images.

The numbers of prompts are fixed before the run: analyses chosen after seeing results, or in
between, would void the error rates.
"""

import math
from collections.abc import Mapping, Sequence

from harness.core.axis import Cell
from harness.core.outcome import Completed, Outcome
from harness.core.plan import Plan
from harness.core.policy import LADDER_IMAGES, Policy
from harness.core.quality import Evaluation
from harness.core.rule import ESTIMATED, OF_A_METRIC, OF_IMAGES, REVIEWED
from harness.core.verdict import CellVerdict, Judgement, RuleVerdict
from harness.metrics import get_metric
from harness.stats.noninferiority import least_prompts

EARLY_SHARE = 0.4
"""Share of a pass's prompts at which the first analysis can only fail hopeless cells."""
FEWEST = 20
"""An interval from fewer prompts is too wide to decide."""
GROWTH = 1.4
MAX_INTERIM_ANALYSES = 6
"""From the first possible pass on; each analysis reduces the level of all others."""


def plan_interim_analyses(plan: Plan) -> Plan:
    """Return the plan with the interim analyses of an adaptive run; other plans unchanged."""
    if plan.matrix.quality.images != "auto" or not plan.model.quality_applies:
        return plan
    ready = (planned for planned in plan.cells if planned.skip is None)
    cells = [planned.cell for planned in ready if planned.role == "candidate"]
    most, to_pass = len(plan.prompts), count_prompts_to_pass(plan.policy, cells)
    interim_analyses = choose_interim_analyses(most, to_pass)
    counts = ", ".join(map(str, interim_analyses))
    notes = [f"adaptive: interim analyses after {counts} prompts; the estimate is for {most}"]
    if to_pass > most:
        needed = f"{len(cells)} cells under this policy need {to_pass}"
        notes.append(f"no cell can pass with {most} prompts: {needed}")
    return plan.model_copy(
        update={"interim_analyses": interim_analyses, "notes": (*plan.notes, *notes)}
    )


def choose_interim_analyses(most: int, to_pass: int) -> tuple[int, ...]:
    """Return the prompts of each interim analysis, up to `most`; a pass needs `to_pass`.

    One analysis before a pass is possible stops hopeless cells cheaply; then follows the first
    possible pass, then about 1.4 times as many prompts each time.
    """
    first = min(to_pass, most)
    early = round(EARLY_SHARE * first)
    interim_analyses = {first, most} | ({early} if early >= FEWEST else set())
    steps = (
        min(MAX_INTERIM_ANALYSES - 1, round(math.log(most / first, GROWTH))) if most > first else 0
    )
    interim_analyses |= {
        round(first * (most / first) ** (step / steps)) for step in range(1, steps)
    }
    return tuple(sorted(interim_analyses))


def count_prompts_to_pass(policy: Policy, cells: Sequence[Cell]) -> int:
    """Return the least prompts with which the policy can pass a cell, at Holm's strictest level.

    The level is not divided over analyses: a sample without a destroyed prompt had none at earlier
    analyses either, so the chance of an error at any analysis is that of the first.
    """
    share = 1 / max(1, len(cells)) if policy.correction == "holm" else 1.0
    errors = (rule for rule in policy.gate if rule.severity == "error")
    rules = {(rule.quantity, rule.metric, str(rule.where)): rule for rule in errors}
    needed = [
        least_prompts(rule.least_damage, rule.alpha * share)
        for rule in rules.values()
        if rule.quantity in ESTIMATED and any(rule.fits(cell) for cell in cells)
    ]
    return max(needed, default=FEWEST)


def choose_prompt_counts(
    plan: Plan,
    outcomes: Mapping[str, Outcome],
    judgement: Judgement | None,
    evaluation: Evaluation | None,
) -> dict[str, int]:
    """Return cell id → the number of prompts to generate images of, given the verdicts so far.

    In an adaptive run every cell begins with the prompts of the first analysis; a cell without a
    decided verdict gets those of the next. The result depends only on files, so that an interrupted
    run continues.
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
    wanted |= {i: outcome.prompts for i, outcome in _halted(outcomes) if i in wanted}
    # Baseline runs get as many prompts as the cells that are compared with them.
    most = max(wanted.values(), default=plan.interim_analyses[0])
    waiting = [i for i in wanted if _waits_for_other_seed(plan, verdicts.get(i), evaluation)]
    other = max((wanted[i] for i in waiting), default=plan.interim_analyses[0])
    for planned in plan.cells:
        count = other if planned.role == "other-seed" else most
        wanted.setdefault(planned.id, min(count, len(plan.get_prompts(planned))))
    return wanted


def is_decided(verdict: CellVerdict, evaluation: Evaluation | None = None) -> bool:
    """Return whether more images could not change a verdict.

    The cell passed or failed, or needs something else: a metric that is not available, a more
    precise latency, a human review. A pass that does not count because its metrics are blind to
    some damage needs the images of the whole damage ladder.
    """
    if verdict.blind_to:
        ladder = evaluation.ladder if evaluation else ()
        return max((rung.images for rung in ladder), default=0) >= LADDER_IMAGES
    unscored = evaluation.missing if evaluation else {}
    undecided = [rule for rule in verdict.errors if rule.result in ("inconclusive", "missing")]
    return (
        not undecided
        or verdict.result == "fail"
        or any(rule.metric in unscored for rule in undecided)
        or not any(rule.rule.quantity in OF_IMAGES - REVIEWED for rule in undecided)
    )


def _waits_for_other_seed(
    plan: Plan, verdict: CellVerdict | None, evaluation: Evaluation | None
) -> bool:
    """Return whether a verdict needs more other-seed images, which calibrate some losses.

    It does not if all undecided rules work without, or if such a rule is about to fail the cell.
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
    metric_rules = (rule for rule in undecided if rule.rule.quantity in OF_A_METRIC)
    return not failing and any(rule.metric not in alone for rule in metric_rules)


def _is_outside(rule: RuleVerdict) -> bool:
    low, high = rule.rule.window
    return rule.observed is not None and not low < rule.observed < high


def _next_analysis(plan: Plan, verdict: CellVerdict | None, evaluation: Evaluation | None) -> int:
    if verdict is None:
        return plan.interim_analyses[0]
    judged_on = _prompts(verdict, evaluation)
    if is_decided(verdict, evaluation):
        return judged_on
    return next(
        (analysis for analysis in plan.interim_analyses if analysis > judged_on),
        plan.interim_analyses[-1],
    )


def _prompts(verdict: CellVerdict, evaluation: Evaluation | None) -> int:
    """Return the number of prompts that a cell was judged on, or else scored on."""
    judged = [rule.prompts for rule in verdict.rules if rule.prompts is not None]
    deltas = evaluation.deltas if evaluation else ()
    scored = [delta.prompts for delta in deltas if delta.cell_id == verdict.cell_id]
    return max(judged or scored, default=0)


def _baseline_limit(plan: Plan, outcomes: Mapping[str, Outcome]) -> int:
    """Return the most prompts to compare: fewer if a baseline run was halted."""
    needed = {planned.id for planned in plan.cells if planned.role in ("baseline", "other-seed")}
    halted = (outcome.prompts for cell_id, outcome in _halted(outcomes) if cell_id in needed)
    return min([plan.interim_analyses[-1], *halted])


def _halted(outcomes: Mapping[str, Outcome]) -> list[tuple[str, Completed]]:
    completed = ((i, outcome) for i, outcome in outcomes.items() if isinstance(outcome, Completed))
    return [(i, outcome) for i, outcome in completed if outcome.halted is not None]
