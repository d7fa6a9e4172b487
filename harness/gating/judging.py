"""Judge a run: every candidate by every rule that fits it, corrected across cells."""

from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path

from harness.core.errors import ResultsError
from harness.core.policy import SEES, Policy, rule_words
from harness.core.quality import Delta
from harness.core.rule import OF_A_METRIC, OF_IMAGES, Rule
from harness.core.units import Absent
from harness.core.verdict import CellVerdict, Judgement, RuleVerdict, pick_worst
from harness.gating.decision import Test, decide, pass_alpha, pass_p
from harness.gating.observation import Observation, Reading, observe
from harness.gating.text import ALL_WAIVED, explain_blindness, write_sentence
from harness.gating.waivers import Rules, Waivers, choose_waivers, list_waiver_notes
from harness.results import CellResult, Run
from harness.stats.noninferiority import holm_shares
from harness.stats.noticing import fails
from harness.store import write_judgement


def judge(folder: Path, policy: Policy | None = None) -> Judgement:
    """Judge an evaluated run and store the verdicts; without a policy by the planned one.

    Raises ResultsError if the run was not evaluated.
    """
    run = Run.load(folder)
    if run.evaluation is None:
        fix = f"Run: harness evaluate {folder.name}"
        raise ResultsError("the run was not evaluated yet", str(folder), fix)
    judgement = judge_run(run, policy)
    write_judgement(folder, judgement)
    return judgement


def judge_run(run: Run, policy: Policy | None = None, today: date | None = None) -> Judgement:
    """Return the verdicts of the completed candidates, in the plan's order.

    Waivers of the policy hold until their last day; `today` is the day to judge on (UTC).

    Tested for each cell: H0 "some rule is not kept", rejected if every rule's test rejects
    (intersection–union: no correction within a cell). Across cells Holm's step-down keeps the
    chance of passing any cell that should not pass at or below the largest alpha of the rules.
    Failing uses alpha as it is: it chooses nothing.
    """
    policy = policy or run.plan.policy
    waivers = choose_waivers(policy, today)
    candidates = [cell for cell in run.candidates if cell.samples]
    rules = {cell.id: find_rules(cell, policy) for cell in candidates}
    judged = [cell for cell in candidates if rules[cell.id] or run.plan.model.quality_applies]
    deciding = {cell_id: waivers.find_deciding(cell_id, found) for cell_id, found in rules.items()}
    shares = _share_alpha(run, deciding) if policy.correction == "holm" else {}
    verdicts = (
        _judge_cell(cell, rules[cell.id], shares.get(cell.id, 1.0), waivers) for cell in judged
    )
    checked = tuple(
        _check_blindness(run, v, _find_missed(run, policy, deciding[v.cell_id]), waivers)
        for v in verdicts
    )
    notes = (*_list_unused(policy, run), *list_waiver_notes(policy, run, waivers, checked))
    return Judgement(run_id=run.plan.run_id, policy=policy, cells=checked, notes=notes)


def find_rules(cell: CellResult, policy: Policy) -> Rules:
    """Return the rules that judge a cell: of several on one quantity and metric the last.

    Rules about images judge only models whose quality applies.
    """
    found: dict[tuple[str, str, str], tuple[Rule, str]] = {}
    quality_applies = cell.run.plan.model.quality_applies
    for rule in policy.gate:
        applies = quality_applies or rule.quantity not in OF_IMAGES
        for metric in _find_metrics(rule, cell) if applies and rule.fits(cell.planned.cell) else ():
            key = (rule.quantity, metric, rule.severity)
            found.pop(key, None)  # the later rule takes its own place in the order
            found[key] = (rule, metric)
    return tuple(found.values())


def _find_metrics(rule: Rule, cell: CellResult) -> Iterable[str]:
    """Return the metrics a rule means for a cell: those it names, or all that gate by default."""
    if rule.quantity not in OF_A_METRIC:
        return [""]
    deltas = cell.deltas.values()
    missing = cell.run.evaluation.missing if cell.run.evaluation else {}
    if rule.metric:
        named = [delta for delta in deltas if rule.names(delta.metric)]
        absent = [name for name in missing if rule.names(name)]
        meant = [delta.metric for delta in named if _may_judge(rule, delta)] + absent
        return meant if named or absent else [rule.metric]
    return [d.metric for d in deltas if d.gates and _has_figure(rule, d)] + list(missing)


def _may_judge(rule: Rule, delta: Delta) -> bool:
    """A loss that is only reported for this cell judges it under no rule; its score may."""
    return rule.quantity != "loss" or delta.gates or delta.if_named


def _has_figure(rule: Rule, delta: Delta) -> bool:
    """Paired metrics have no relative change, so a rule on all changes leaves them out."""
    is_absent = isinstance(delta.literal, Absent)
    return not (rule.quantity == "change" and delta.definition.kind == "paired" and is_absent)


def _share_alpha(run: Run, rules: Mapping[str, Rules]) -> dict[str, float]:
    """Return the share of alpha of each cell; cells with a missing figure cannot pass: no share.

    In a run with interim analyses every planned cell takes its share from the start: a figure
    may appear later, and a cell that passed must stay passed.
    """
    tests: dict[str, list[tuple[Rule, Observation, float]]] = {}
    for cell_id, applied in rules.items():
        cell, found = run.cell(cell_id), []
        for rule, metric in applied:
            if rule.severity == "error":
                seen = observe(cell, rule, metric)
                found.append((rule, seen, seen.reading))
        if found and not any(isinstance(reading, Absent) for *_, reading in found):
            tests[cell_id] = [
                (rule, seen, pass_p(rule, reading))
                for rule, seen, reading in found
                if isinstance(reading, Reading)
            ]

    def passes(cell_id: str, share: float) -> bool:
        test = Test(share, run.plan.interim_analyses)
        return cell_id in tests and all(
            p <= pass_alpha(rule, seen, test) for rule, seen, p in tests[cell_id]
        )

    planned = [cell.id for cell in run.candidates if cell.planned.skip is None]
    return holm_shares(planned if run.plan.interim_analyses else tests, passes)


def _judge_cell(cell: CellResult, rules: Rules, share: float, waivers: Waivers) -> CellVerdict:
    """Return the verdict of one cell whose passes must hold at `share` of their alpha.

    Any failing rule fails the cell; then any missing one makes it missing, then any inconclusive
    one inconclusive. Warnings are judged at their own level and change nothing. Waived rules do not
    decide.
    """
    found = (_judge_rule(cell, rule, metric, share) for rule, metric in rules)
    verdicts = tuple(waivers.apply(cell.id, judged) for judged in found)
    verdict = CellVerdict(cell_id=cell.id, result="missing", rules=verdicts, reason="")
    if not verdict.errors:
        missing = "not evaluated yet: run harness evaluate again"
        reason = "no rule judges this cell" if cell.deltas else missing
        reason = ALL_WAIVED if verdict.waived else reason
        return verdict.model_copy(update={"reason": reason})
    result = pick_worst({judged.result for judged in verdict.errors})
    reason = _give_reason(verdict.errors, result)
    return verdict.model_copy(update={"result": result, "reason": reason})


def _judge_rule(cell: CellResult, rule: Rule, metric: str, share: float) -> RuleVerdict:
    seen = observe(cell, rule, metric)
    if isinstance(seen.reading, Absent):
        sentence = f"{metric or rule.quantity} is missing: {seen.reading.absent}"
        return RuleVerdict(rule=rule, metric=metric, result="missing", sentence=sentence)
    evaluation = cell.run.evaluation
    blind = evaluation is not None and metric in evaluation.blind
    own_share = share if rule.severity == "error" else 1.0
    decision = decide(rule, seen, Test(own_share, cell.run.plan.interim_analyses, blind))
    has_interval = seen.reading.has_interval
    return RuleVerdict(
        rule=rule,
        metric=metric,
        result=decision.result,
        observed=seen.reading.observed,
        lower=decision.lower,
        upper=decision.upper,
        p_value=decision.p_value if has_interval else None,
        level=1 - decision.alpha if has_interval else None,
        prompts=seen.prompts,
        prompts_needed=decision.needed,
        sentence=write_sentence(rule, metric, seen, decision),
    )


def _give_reason(verdicts: tuple[RuleVerdict, ...], result: str) -> str:
    if result != "pass":
        return "; ".join(verdict.sentence for verdict in verdicts if verdict.result == result)
    closest = max(verdicts, key=lambda verdict: verdict.p_value or 0.0).sentence
    return f"all {len(verdicts)} pass; closest: {closest}" if len(verdicts) > 1 else closest


def _find_missed(run: Run, policy: Policy, rules: Rules) -> dict[str, int]:
    """Return the demanded damages, with their levels, that a cell's rules would pass."""
    demanded = policy.demanded if run.evaluation else {}
    return {
        family: level
        for family, level in demanded.items()
        if not _is_noticed(run, family, level, rules)
    }


def _check_blindness(
    run: Run, verdict: CellVerdict, missed: Mapping[str, int], waivers: Waivers
) -> CellVerdict:
    """Return a verdict; a pass by rules that would miss a demanded damage is inconclusive."""
    if verdict.result != "pass" or not missed:
        return verdict
    blind = verdict.model_copy(update={"blind_to": tuple(missed)})
    if (waiver := waivers.find(verdict.cell_id, SEES)) is not None:
        return blind.model_copy(update={"blindness_waiver": waiver})
    assert run.evaluation is not None
    reason = explain_blindness(missed, run.evaluation.ladder)
    return blind.model_copy(update={"result": "inconclusive", "reason": reason})


def _is_noticed(run: Run, family: str, level: int, rules: Rules) -> bool:
    """Return whether some rule surely fails the damage at this level or a lower one.

    A metric that a larger dose moved less does not count.
    """
    evaluation = run.evaluation
    assert evaluation is not None
    return any(
        fails(rung, [rule])
        for rung in evaluation.ladder
        if rung.damage == family and rung.level <= level
        and family not in evaluation.not_monotone.get(rung.metric, ())
        for rule, metric in rules
        if metric == rung.metric and rule.severity == "error"
    )  # fmt: skip


def _list_unused(policy: Policy, run: Run) -> tuple[str, ...]:
    """Return a line for each rule that fits none of the planned candidates."""
    cells = [cell.planned.cell for cell in run.candidates]
    return tuple(
        f"rule {number} of the policy fits no cell: {rule_words(rule)}"
        for number, rule in enumerate(policy.gate, 1)
        if not any(rule.fits(cell) for cell in cells)
    )
