"""The judgement: the policy's rules, each cell's verdict, and what would decide open ones."""

import math
from collections.abc import Iterable, Sequence

from harness.core.base import Frozen
from harness.core.policy import rule_words
from harness.core.rule import OF_IMAGES, REVIEWED, Rule
from harness.core.units import plural
from harness.core.verdict import CellVerdict, Result, RuleVerdict, pick_worst
from harness.reporting.parts import NamedValue
from harness.reporting.text import STANDINGS, name_rule, write_needs
from harness.results import CellResult, Run, Standing
from harness.results.format import format_count, format_margin

_RESULTS: tuple[Result, ...] = ("pass", "fail", "inconclusive", "missing")


class Sentence(Frozen):
    """One rule's verdict in words."""

    standing: Standing
    text: str


class RuleRow(Frozen):
    """One rule of the policy, and how many cells keep it."""

    text: str
    warning: bool
    counts: tuple[tuple[Standing, str, int], ...]


class Judged(Frozen):
    """The policy, its rules, and how error rates are kept."""

    policy: str
    about: str
    rates: str
    rules: tuple[RuleRow, ...]


class InterimAnalysisRow(Frozen):
    """One interim analysis: its prompts, and how many cells were decided or left open at it."""

    number: int
    prompts: int
    passed: int
    failed: int
    open: int


class Sampling(Frozen):
    """The interim analyses of an adaptive run, and what they saved in a sentence."""

    interim_analyses: tuple[InterimAnalysisRow, ...]
    sentence: str


def build_judged(run: Run) -> Judged:
    """Return the policy of a run with the results of its rules."""
    policy = run.policy
    rules = tuple(
        RuleRow(
            text=rule_words(rule).removeprefix("warning: "),
            warning=rule.severity == "warning",
            counts=_count_results(run, rule),
        )
        for rule in policy.gate
    )
    return Judged(policy=policy.name, about=policy.about, rates=_write_rates(run), rules=rules)


def write_sentence(judged: RuleVerdict) -> Sentence:
    """Return a verdict's sentence, capitalized unless it begins with a metric's name."""
    text = judged.sentence
    begun = text if judged.metric else text[:1].upper() + text[1:]
    if (waiver := judged.waiver) is not None:
        begun += f". Waived by {waiver.who} until {waiver.until}: {waiver.why}"
    return Sentence(standing=judged.result, text=begun)


def list_sentences(rules: Sequence[RuleVerdict]) -> tuple[Sentence, ...]:
    """Return the sentences of some rules."""
    return tuple(map(write_sentence, rules))


def list_deciding(verdict: CellVerdict) -> tuple[Sentence, ...]:
    """Return the sentences behind a cell's result, of a pass the closest one; then waived ones."""
    waived = list_sentences(verdict.waived)
    if verdict.result == "pass":
        closest = max(verdict.errors, key=lambda judged: judged.p_value or 0.0)
        return (write_sentence(closest), *waived)
    found = list_sentences([judged for judged in verdict.errors if judged.result == verdict.result])
    return (*(found or (Sentence(standing=verdict.result, text=verdict.reason),)), *waived)


def list_waiver_alarms(run: Run) -> tuple[NamedValue, ...]:
    """Return every waiver that a verdict needed, numbered."""
    waivers = run.judgement.waivers if run.judgement else ()
    return tuple(
        NamedValue(name=f"Waiver {number} of {len(waivers)}", value=f"{waiver}")
        for number, waiver in enumerate(waivers, 1)
    )


def count_waivers(cell: CellResult) -> str:
    """Return how many waivers a cell's verdict needed: `1 waiver`; empty without any."""
    count = cell.verdict.waiver_count if cell.verdict else 0
    return plural(count, "waiver") if count else ""


def _write_rates(run: Run) -> str:
    """Return which error rate the passes of this run have, and how it is kept."""
    policy = run.policy
    alpha = max((rule.alpha for rule in policy.gate if rule.severity == "error"), default=0.05)
    count = len(run.judgement.cells) if run.judgement else len(run.candidates)
    cells, rate = plural(count, "cell"), format_margin(alpha)
    if policy.correction == "holm":
        text = f"Holm’s correction across {cells}: the chance of any wrong pass is at most {rate}"
    else:
        text = (
            f"No correction across {cells}: the chance of a wrong pass is at most {rate} per cell"
        )
    if (analyses := len(run.plan.interim_analyses)) > 1:
        text += f". Up to {analyses} interim analyses; bounds are widened to keep that rate"
    return text + "."


def _count_results(run: Run, rule: Rule) -> tuple[tuple[Standing, str, int], ...]:
    """Return how many cells a rule found passing, failing and so on; several metrics count once."""
    found = [
        pick_worst(results)
        for verdict in run.verdicts.values()
        if (results := {judged.result for judged in verdict.rules if judged.rule == rule})
    ]
    return tuple((name, STANDINGS[name], found.count(name)) for name in _RESULTS if name in found)


def _list_open(cell: CellResult) -> list[RuleVerdict]:
    errors = cell.verdict.errors if cell.verdict else ()
    return [judged for judged in errors if judged.result == "inconclusive"]


def say_what_decides(cell: CellResult) -> str:
    """Return what would decide an inconclusive cell; empty if its only open sentence says it."""
    undecided = _list_open(cell)
    if len(undecided) < 2 or cell.standing != "inconclusive":
        return ""
    parts = []
    if needs := _find_needs(undecided):
        most, now = max(needs.values()), max(judged.prompts or 0 for judged in undecided)
        names = f" ({write_needs(needs)})" if len(needs) > 1 else f" for {next(iter(needs))}"
        parts.append(f"about {format_count(most)} prompts{names}; it has {format_count(now)}")
    if timed := [judged for judged in undecided if judged.rule.quantity not in OF_IMAGES]:
        parts.append(f"{_ask_finer(cell.run, timed)} for {', '.join(map(name_rule, timed))}")
    if any(judged.rule.quantity in REVIEWED for judged in undecided):
        parts.append("more pairs or raters for human-preference")
    images = [judged for judged in undecided if judged.rule.quantity in OF_IMAGES - REVIEWED]
    if hopeless := [name_rule(judged) for judged in images if judged.prompts_needed is None]:
        parts.append(f"nothing known for {', '.join(hopeless)}: too close to the limit, or blind")
    return "; ".join(parts)


def write_required_samples(run: Run) -> list[str]:
    """Return what would decide all inconclusive cells, and which setting asks for it."""
    cells = [cell for cell in run.candidates if cell.standing == "inconclusive"]
    if not cells:
        return []
    lead = plural(len(cells), "cell is inconclusive", "cells are inconclusive")
    undecided = [judged for cell in cells for judged in _list_open(cell)]
    timed = [judged for judged in undecided if judged.rule.quantity not in OF_IMAGES]
    names = ", ".join(sorted(set(map(name_rule, timed))))
    more = [f"For {names}: {_ask_finer(run, timed)}."] if timed else []
    known = [need for cell in cells if (need := _find_required_prompts(cell)) is not None]
    if not known:
        return [f"{lead}; each one’s section says why.", *more]
    which = "it" if len(cells) == 1 else "all of them"
    which = which if len(known) == len(cells) else f"{len(known)} of them"
    needs = _find_needs(undecided)
    each = f" ({write_needs(needs) if len(needs) > 1 else next(iter(needs))})"
    now = format_count(max(judged.prompts or 0 for judged in undecided))
    key = "quality.max" if run.plan.interim_analyses else "prompts.limit"
    prompts = format_count(max(known))
    return [
        f"{lead}: about {prompts} prompts would decide {which}{each}; now {now}. Set {key}.",
        *more,
    ]


def _find_required_prompts(cell: CellResult) -> int | None:
    """Return the prompts that would decide all open rules of a cell; None if they would not."""
    needed = [judged.prompts_needed for judged in _list_open(cell)]
    known = [need for need in needed if need is not None]
    return max(known) if known and len(known) == len(needed) else None


def _ask_finer(run: Run, timed: Iterable[RuleVerdict]) -> str:
    """Return which settings would tell times from their limits, with the present ones."""
    measure = run.plan.matrix.measure
    known = [need for judged in timed if (need := _find_precision(judged)) is not None]
    longer = f"measure.max_s over {measure.max_s:g}"
    if not known or min(known) >= measure.precision:
        return longer
    now = format_margin(measure.precision)
    return f"measure.precision = {format_margin(min(known))} (now {now}) and {longer}"


def _find_precision(judged: RuleVerdict) -> float | None:
    """Return the half-width that tells one time from its limit; None if none does."""
    from harness.stats.noninferiority import precision_needed

    if judged.rule.quantity == "timing-precision":
        return judged.rule.at_most
    if judged.observed is None:
        return None
    ends = [end for end in judged.rule.window if math.isfinite(end)]
    level = judged.level or judged.rule.level
    found = (precision_needed(judged.observed, end, level) or 0.0 for end in ends)
    return max(found, default=0.0) or None


def _find_needs(undecided: Iterable[RuleVerdict]) -> dict[str, int]:
    """Return what is open → the prompts that would decide it, the most first."""
    needs: dict[str, int] = {}
    for judged in undecided:
        if judged.prompts_needed is not None:
            name = name_rule(judged)
            needs[name] = max(needs.get(name, 0), judged.prompts_needed)
    return dict(sorted(needs.items(), key=lambda item: -item[1]))


def write_analysis(cell: CellResult) -> str:
    """Return at which interim analysis a cell was decided or left open; empty without any."""
    if cell.interim_analysis is None or cell.verdict is None:
        return ""
    word = "decided" if cell.verdict.result in ("pass", "fail") else "open"
    total = len(cell.run.plan.interim_analyses)
    return f"{word} at interim analysis {cell.interim_analysis} of {total}"


def write_images_term(run: Run) -> str:
    """Return how many images a cell has: `256 images per cell`, or the range in adaptive runs."""
    seeds = len(run.plan.matrix.seeds)
    samples = [cell.samples for cell in run.candidates if cell.samples and cell.samples.images]
    counts = {made.prompts * seeds for made in samples}
    if not run.plan.interim_analyses or not counts:
        return f"{plural(len(run.plan.prompts) * seeds, 'image')} per cell"
    ends = " to ".join(dict.fromkeys(map(format_count, (min(counts), max(counts)))))
    return f"{ends} images per cell, as many as its verdict needed"


def build_sampling(run: Run) -> Sampling | None:
    """Return the interim analyses of an adaptive run; None if the number of images was fixed."""
    analyses = run.plan.interim_analyses
    if not analyses or run.judgement is None:
        return None
    ends = [(run.cell(v.cell_id).interim_analysis, v.result) for v in run.judgement.cells]
    rows = []
    for number, prompts in enumerate(analyses, 1):
        here = [result for analysis, result in ends if analysis == number]
        passed, failed = here.count("pass"), here.count("fail")
        left = len(here) - passed - failed
        rows.append(
            InterimAnalysisRow(
                number=number, prompts=prompts, passed=passed, failed=failed, open=left
            )
        )
    made, full = count_images(run)
    share = f"{made / full * 100:.0f} %" if full else "0 %"
    sentence = (
        f"{format_count(made)} images were generated, {share} of the {format_count(full)} that"
        f" {plural(analyses[-1], 'prompt')} for every cell take: {format_count(full - made)} saved"
    )
    return Sampling(interim_analyses=tuple(rows), sentence=sentence)


def count_images(run: Run) -> tuple[int, int]:
    """Return the images of all completed cells, reruns included, and those of a fixed design."""
    made = full = 0
    for planned in run.plan.cells:
        samples = run.cell(planned.id).samples
        if samples is not None:
            made += len(samples.images)
            full += run.plan.prompt_counts(planned)[-1] * len(run.plan.get_seeds(planned))
    return made, full
