"""The answer a reader came for, in a sentence, before any chart."""

import math
from collections import Counter
from typing import Literal

from harness.core.base import Frozen
from harness.core.outcome import Caution
from harness.core.policy import rule_words
from harness.core.units import Absent
from harness.core.verdict import RuleVerdict
from harness.reporting.cautions import cautions_at, doubts
from harness.reporting.facts import Facts, Timing
from harness.reporting.gated_losses import WorstLoss
from harness.reporting.key_figures import KeyFigure, key_figures
from harness.reporting.loaded import LoadedRun
from harness.reporting.profiled import is_profiled, profile_command
from harness.reporting.questions import unasked
from harness.reporting.required_samples import run_words
from harness.reporting.sampling import images_term
from harness.reporting.wording import factor, plural, round_share, seconds, share_interval

Kind = Literal["pass", "fail", "inconclusive", "unjudged"]


class Answer(Frozen):
    """The headline, the cell to name first (`best`) with words before and after it, and what qualifies both."""

    kind: Kind
    headline: str
    sentences: tuple[str, ...]
    before: str = ""
    best: str = ""
    after: str = ""
    figures: tuple[KeyFigure, ...] = ()
    unprofiled: str = ""
    """Where the named cell is recommended without a trace: what that means."""
    command: str = ""
    """What takes that trace."""
    cautions: tuple[Caution, ...] = ()
    """What makes the named cell's time doubtful."""

    @property
    def recommends(self) -> bool:
        """Whether the named cell is one to take, not the nearest miss."""
        return bool(self.best) and self.kind in ("pass", "unjudged")


def fastest(cells: list[Facts]) -> Facts | None:
    """Return the cell with the fewest seconds per image on the baseline's clock; None where none was timed."""
    timed = [(cell.timing.normalized_s, cell) for cell in cells if isinstance(cell.timing, Timing)]
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def worst_words(worst: WorstLoss) -> str:
    """Return a worst loss with its interval, what it is a share of, and the metric that found it."""
    return f"{share_interval(worst.loss)} {worst.whole} ({worst.metric})"


def speed_words(timing: Timing) -> str:
    """Return how the cell's speed compares with the baseline's, in words."""
    if isinstance(timing.speedup, Absent):
        return f"{seconds(timing.image_s.estimate)} per image"
    ratio = timing.speedup.estimate
    return f"{factor(ratio)} faster" if ratio >= 1.005 else f"{factor(ratio)} the baseline's speed"


def _left_out(cells: list[Facts]) -> list[str]:
    sentences = []
    for standing, words in (
        ("failed", "did not run"), ("skipped", "skipped"), ("pending", "not run yet"), ("unjudged", "not judged"),
    ):  # fmt: skip
        count = sum(cell.standing == standing for cell in cells)
        if count:
            sentences.append(f"{plural(count, 'cell')} {words}")
    return [", ".join(sentences) + "."] if sentences else []


def _missing(cells: list[Facts]) -> list[str]:
    """Return why cells have no verdict for want of something that the policy judges."""
    missing = [cell for cell in cells if cell.standing == "missing"]
    if not missing:
        return []
    reasons = "; ".join(dict.fromkeys(cell.reason for cell in missing))
    return [f"{plural(len(missing), 'cell has', 'cells have')} no verdict: {reasons}."]


def _judged(loaded: LoadedRun, cells: list[Facts], baseline: Facts) -> Answer:
    passing = [cell for cell in cells if cell.standing == "pass"]
    rest = [*run_words(loaded, cells), *_missing(cells), *_left_out(cells)]
    best = fastest(passing)
    if best is not None and isinstance(best.timing, Timing):
        loss = f", worst loss {worst_words(best.worst)}" if isinstance(best.worst, WorstLoss) else ""
        after = f": {speed_words(best.timing)}{loss}."
        headline = f"{len(passing)} of {plural(len(cells), 'cell')} may ship."
        figures = key_figures(loaded, best, baseline)
        return Answer(kind="pass", headline=headline, before="Fastest that may: ", best=best.id, after=after,
                      sentences=tuple(rest), figures=figures)  # fmt: skip
    if any(cell.standing == "inconclusive" for cell in cells):
        return Answer(kind="inconclusive", headline="Nothing may ship yet.", sentences=tuple(rest))
    if not any(cell.standing == "fail" for cell in cells):
        return Answer(kind="unjudged", headline="No verdict.", sentences=tuple(rest))
    nearest, missed = nearest_miss(loaded, cells)
    return Answer(kind="fail", headline="Nothing may ship.", sentences=(*_failed_rules(loaded), *rest),
                  before="Nearest: ", best=nearest, after=f": {'; '.join(missed)}.")  # fmt: skip


def nearest_miss(loaded: LoadedRun, cells: list[Facts]) -> tuple[str, tuple[str, ...]]:
    """Return the failing cell that lies least beyond its limits, with the sentences of the rules it failed."""
    failed = {
        cell.id: [judged for judged in verdict.errors if judged.result == "fail"]
        for cell in cells
        if cell.standing == "fail" and (verdict := loaded.verdict(cell.id))
    }
    nearest = min(failed, key=lambda cell_id: max((_beyond(judged) for judged in failed[cell_id]), default=0.0))
    return nearest, tuple(judged.sentence for judged in failed[nearest])


def _beyond(judged: RuleVerdict) -> float:
    """Return how far a value lies beyond its limit, as a share of that limit."""
    low, high = judged.rule.window
    if judged.observed is None:
        return 0.0
    over = (judged.observed - high) / (abs(high) or 1.0) if math.isfinite(high) else 0.0
    under = (low - judged.observed) / (abs(low) or 1.0) if math.isfinite(low) else 0.0
    return max(over, under)


def _failed_rules(loaded: LoadedRun) -> list[str]:
    """Say which rules failed and in how many cells, the most first."""
    cells = loaded.judgement.cells if loaded.judgement else ()
    failed = Counter(
        words
        for cell in cells
        for words in dict.fromkeys(rule_words(j.rule) for j in cell.errors if j.result == "fail")
    )
    found = [f"{words} in {count} of {plural(len(cells), 'cell')}" for words, count in failed.most_common()]
    return [f"Not kept: {'; '.join(found)}."]


def _unjudged(loaded: LoadedRun, cells: list[Facts], baseline: Facts) -> Answer:
    """Return what can be said of a run that is not judged, and the command that comes next."""
    if isinstance(baseline.timing, Absent):
        why = f"The baseline {baseline.id} has no result ({baseline.reason}): nothing can be compared with it."
        return Answer(kind="unjudged", headline="No answer.", sentences=(why, *_left_out(cells)))
    best = fastest(cells)
    sentences = []
    after = ""
    if best is not None and isinstance(best.timing, Timing):
        unknown = ", at a quality that is not known" if loaded.plan.model.quality_applies else ""
        after = f": {speed_words(best.timing)}{unknown}."
    if not loaded.plan.model.quality_applies:
        sentences.append("Quality does not apply: the model has random weights. Times and memory are real.")
    else:
        step = "gate" if loaded.evaluation else "evaluate"
        sentences.append(f"Next: harness {step} {loaded.run.name}")
    figures = key_figures(loaded, best, baseline) if best is not None else ()
    return Answer(
        kind="unjudged", headline="Measured, not judged.", sentences=(*sentences, *_left_out(cells)), figures=figures,
        before="Fastest: " if best else "", best=best.id if best else "", after=after,
    )  # fmt: skip


def build_answer(loaded: LoadedRun, facts: tuple[Facts, ...]) -> Answer:
    """Return the answer of a run in whatever state it is."""
    baseline = next(cell for cell in facts if cell.id == loaded.plan.baseline_id)
    cells = [cell for cell in facts if cell.planned.role == "candidate"]
    judged = any(cell.standing in ("pass", "fail", "inconclusive", "missing") for cell in cells)
    judged = judged and loaded.plan.model.quality_applies
    answer = _judged(loaded, cells, baseline) if judged else _unjudged(loaded, cells, baseline)
    answer = answer.model_copy(update={"sentences": (*unasked(loaded), *answer.sentences)})
    return _qualified(loaded, answer) if answer.recommends else answer


def _qualified(loaded: LoadedRun, answer: Answer) -> Answer:
    """Return the answer with what a reader must know before taking the cell it names."""
    cell, known = loaded.completed(answer.best), is_profiled(loaded, answer.best)
    words = "" if known else f"{answer.best} has no trace, so why it is fast is not known."
    command = "" if known else profile_command(loaded, answer.best)
    cautions = cautions_at("timing", cell.warnings) if cell else ()
    doubtful = tuple(caution for caution in cautions if doubts((caution,)))
    return answer.model_copy(update={"unprofiled": words, "command": command, "cautions": doubtful})


def list_terms(loaded: LoadedRun) -> tuple[str, ...]:
    """Return the terms of the answer: machine, images, policy, margin, confidence, correction."""
    plan, policy = loaded.plan, loaded.policy
    across = "Holm’s correction across cells" if policy.correction == "holm" else "no correction across cells"
    rules = [rule for rule in policy.gate if rule.severity == "error"]
    levels = " and ".join(dict.fromkeys(round_share(rule.level) for rule in rules))
    plain = len(rules) == 1 and rules[0].quantity == "loss" and not rules[0].metric and not rules[0].where
    margin = f", margin {round_share(rules[0].margin or 0.0)}" if plain else ""
    return (
        plan.model.title,
        plan.machine.title,
        images_term(loaded),
        f"policy {policy.name}{margin}, confidence {levels}, {across}",
    )
