"""What would settle the verdicts that are open: prompts for each metric, a finer measurement for times."""

import math
from collections.abc import Iterable

from harness.core.rule import OF_IMAGES
from harness.core.verdict import CellVerdict, RuleVerdict
from harness.reporting.facts import Facts
from harness.reporting.loaded import LoadedRun
from harness.reporting.wording import grouped, plural, round_share


def named(judged: RuleVerdict) -> str:
    """Return what a rule judged, in a word or two: `fid:bundled`, `change of fid:mlperf`, `speedup`."""
    quantity = judged.rule.quantity
    if quantity == "loss":
        return judged.metric
    return f"{quantity} of {judged.metric}" if judged.metric else quantity


def open_rules(verdict: CellVerdict | None) -> list[RuleVerdict]:
    """Return the rules that leave a cell inconclusive."""
    return [judged for judged in verdict.errors if judged.result == "inconclusive"] if verdict else []


def prompts_needed(verdict: CellVerdict | None) -> int | None:
    """Return the prompts that would settle all open rules of a cell, or None where more prompts would not."""
    needed = [judged.prompts_needed for judged in open_rules(verdict)]
    known = [need for need in needed if need is not None]
    return max(known) if known and len(known) == len(needed) else None


def cell_words(loaded: LoadedRun, verdict: CellVerdict | None) -> str:
    """Return what would settle one inconclusive cell; an empty string where its only open sentence says it already."""
    undecided = open_rules(verdict)
    if len(undecided) < 2 or verdict is None or verdict.result != "inconclusive":
        return ""
    parts = []
    if needs := _needs(undecided):
        most, now = max(needs.values()), max(judged.prompts or 0 for judged in undecided)
        each = f" ({_listed(needs)})" if len(needs) > 1 else f" for {next(iter(needs))}"
        parts.append(f"about {grouped(most)} prompts{each}; it has {grouped(now)}")
    timed = [judged for judged in undecided if judged.rule.quantity not in OF_IMAGES]
    if timed:
        parts.append(f"{_finer(loaded, timed)} for {', '.join(map(named, timed))}")
    hopeless = [named(j) for j in undecided if j.rule.quantity in OF_IMAGES and j.prompts_needed is None]
    if hopeless:
        parts.append(f"nothing that can be named for {', '.join(hopeless)}: too close to its limit, or blind")
    return "; ".join(parts)


def run_words(loaded: LoadedRun, cells: list[Facts]) -> list[str]:
    """Return what would settle all inconclusive cells of a run, and which setting asks for it."""
    verdicts = [verdict for cell in cells if cell.standing == "inconclusive" and (verdict := loaded.verdict(cell.id))]
    if not verdicts:
        return []
    lead = f"{plural(len(verdicts), 'cell is', 'cells are')} inconclusive"
    undecided = [judged for verdict in verdicts for judged in open_rules(verdict)]
    known = [need for verdict in verdicts if (need := prompts_needed(verdict)) is not None]
    timed = [judged for judged in undecided if judged.rule.quantity not in OF_IMAGES]
    whose = ", ".join(sorted(set(map(named, timed))))
    more = [f"For {whose}: {_finer(loaded, timed)}."] if timed else []
    if not known:
        return [f"{lead}; each one’s section says why.", *more]
    whom = "settle it" if len(verdicts) == 1 else "settle all of them"
    whom = whom if len(known) == len(verdicts) else f"settle {len(known)} of them"
    needs = _needs(undecided)
    each = f" ({_listed(needs)})" if len(needs) > 1 else f" ({next(iter(needs))})"
    now = max(judged.prompts or 0 for judged in undecided)
    key = "quality.max" if loaded.plan.interim_analyses else "prompts.limit"
    asked = f"{lead}: about {grouped(max(known))} prompts would {whom}{each}; now {grouped(now)}. Set {key}."
    return [asked, *more]


def _finer(loaded: LoadedRun, timed: Iterable[RuleVerdict]) -> str:
    """Return what to ask of the timing so that times are told from their limits, with what is asked now."""
    measure = loaded.plan.matrix.measure
    known = [need for judged in timed if (need := _precision(judged)) is not None]
    longer = f"measure.max_s over {measure.max_s:g}"
    if not known or min(known) >= measure.precision:
        return longer
    return f"measure.precision = {round_share(min(known))} (now {round_share(measure.precision)}) and {longer}"


def _precision(judged: RuleVerdict) -> float | None:
    """Return the half-width with which one time is told from its limit; None where none helps."""
    from harness.stats.noninferiority import precision_needed

    if judged.rule.quantity == "timing-precision":
        return judged.rule.at_most
    if judged.observed is None:
        return None
    ends = [end for end in judged.rule.window if math.isfinite(end)]
    level = judged.level or judged.rule.level
    return max((precision_needed(judged.observed, end, level) or 0.0 for end in ends), default=0.0) or None


def _needs(undecided: Iterable[RuleVerdict]) -> dict[str, int]:
    """Return what is open → the prompts that would settle it, the most first."""
    needs: dict[str, int] = {}
    for judged in undecided:
        if judged.prompts_needed is not None:
            needs[named(judged)] = max(needs.get(named(judged), 0), judged.prompts_needed)
    return dict(sorted(needs.items(), key=lambda item: -item[1]))


def _listed(needs: dict[str, int]) -> str:
    return ", ".join(f"{name} {grouped(need)}" for name, need in needs.items())
