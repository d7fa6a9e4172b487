"""The answer to the reader's question in a sentence, the figures beneath it, and its terms."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from harness.core.base import Frozen
from harness.core.outcome import Caution
from harness.core.policy import rule_words
from harness.core.quality import Delta, Interval
from harness.core.units import Absent, plural
from harness.core.verdict import RuleVerdict
from harness.metrics import get_metric
from harness.reporting.parts import NamedValue
from harness.reporting.text import (
    DOUBT_TITLES,
    QUESTIONS,
    profile_command,
    write_speed,
    write_worst_loss,
)
from harness.reporting.verdicts import count_waivers, write_images_term, write_required_samples
from harness.results import CellResult, Run, Standing
from harness.results.columns import BY_NAME
from harness.results.format import DASH, Unit, Value, format_margin, format_value
from harness.results.losses import WorstLoss

Kind = Literal["pass", "fail", "inconclusive", "unjudged"]


class Answer(Frozen):
    """The headline, the cell to name first (`best`), and what qualifies both."""

    kind: Kind
    headline: str
    sentences: tuple[str, ...]
    before: str = ""
    best: str = ""
    after: str = ""
    figures: tuple[NamedValue, ...] = ()
    unprofiled: str = ""
    """What it means that the named cell is recommended without a trace."""
    command: str = ""
    """The command that takes this trace."""
    cautions: tuple[Caution, ...] = ()
    """What makes the named cell's time doubtful."""

    @property
    def recommends(self) -> bool:
        """Whether the named cell is a recommendation, not the nearest miss."""
        return bool(self.best) and self.kind in ("pass", "unjudged")


def build_answer(run: Run) -> Answer:
    """Return the answer of a run in whatever state it is."""
    verdicts = ("pass", "fail", "inconclusive", "missing")
    judged = any(cell.standing in verdicts for cell in run.candidates)
    answer = (
        _answer_judged(run) if judged and run.plan.model.quality_applies else _answer_unjudged(run)
    )
    answer = answer.model_copy(update={"sentences": (*list_unanswered(run), *answer.sentences)})
    return _qualify(run, answer) if answer.recommends else answer


def list_unprofiled(run: Run, answer: Answer) -> frozenset[str]:
    """Return the recommended cells without a trace.

    Recommended are the one that the answer names, and all passing ones on the Pareto front.
    """
    points = run.pareto_points.values()
    named = {p.cell.id for p in points if p.on_front and p.cell.standing == "pass"}
    named |= {answer.best} if answer.recommends else set()
    return frozenset(cell_id for cell_id in named if run.cell(cell_id).trace is None)


def find_fastest(cells: Sequence[CellResult]) -> CellResult | None:
    """Return the cell with the least normalized latency; None if none was timed."""
    timed = [(cell.normalized.image_s.estimate, cell) for cell in cells
             if not isinstance(cell.normalized, Absent)]  # fmt: skip
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def _answer_judged(run: Run) -> Answer:
    cells = run.candidates
    passing = [cell for cell in cells if cell.standing == "pass"]
    rest = (*write_required_samples(run), *_say_missing(cells), *_say_left_out(cells))
    best = find_fastest(passing)
    if best is not None:
        waived = sum(map(bool, map(count_waivers, passing)))
        by_waiver = f", {waived} of them by waivers" if waived else ""
        worst = best.worst_loss
        loss = f", worst loss {write_worst_loss(worst)}" if isinstance(worst, WorstLoss) else ""
        return Answer(
            kind="pass",
            headline=f"{len(passing)} of {plural(len(cells), 'cell')} may ship{by_waiver}.",
            before="Fastest that may: ",
            best=best.id,
            after=f": {write_speed(best)}{loss}.",
            sentences=rest,
            figures=list_key_figures(best),
        )
    if any(cell.standing == "inconclusive" for cell in cells):
        return Answer(kind="inconclusive", headline="Nothing may ship yet.", sentences=rest)
    if not any(cell.standing == "fail" for cell in cells):
        return Answer(kind="unjudged", headline="No verdict.", sentences=rest)
    nearest, missed = _find_nearest_miss(cells)
    return Answer(
        kind="fail",
        headline="Nothing may ship.",
        sentences=(_say_broken_rules(run), *rest),
        before="Nearest: ",
        best=nearest,
        after=f": {'; '.join(missed)}.",
    )


def _answer_unjudged(run: Run) -> Answer:
    """Return what is known of a run without verdicts, and the command that comes next."""
    left_out = _say_left_out(run.candidates)
    if isinstance(run.baseline.timed, Absent):
        reason = f"The baseline {run.baseline.id} has no result ({run.baseline.reason})"
        sentences = (f"{reason}: no cell can be compared with it.", *left_out)
        return Answer(kind="unjudged", headline="No answer.", sentences=sentences)
    best = find_fastest(run.candidates)
    applies = run.plan.model.quality_applies
    next_step = "gate" if run.evaluation else "evaluate"
    random = "Quality does not apply: the model has random weights. Times and memory are valid."
    first = f"Next: harness {next_step} {run.folder.name}" if applies else random
    unknown = ", quality unknown" if applies else ""
    return Answer(
        kind="unjudged",
        headline="Measured, not judged.",
        sentences=(first, *left_out),
        figures=list_key_figures(best) if best else (),
        before="Fastest: " if best else "",
        best=best.id if best else "",
        after=f": {write_speed(best)}{unknown}." if best else "",
    )


def _qualify(run: Run, answer: Answer) -> Answer:
    """Return the answer with what a reader must know before taking the cell it names."""
    cell = run.cell(answer.best)
    untraced = cell.trace is None
    warnings = cell.samples.warnings if cell.samples else ()
    unknown = f"{cell.id} has no trace, so the reason for its speed is unknown."
    return answer.model_copy(update={
        "unprofiled": unknown if untraced else "",
        "command": profile_command(cell) if untraced else "",
        "cautions": tuple(caution for caution in warnings if caution.kind in DOUBT_TITLES),
    })  # fmt: skip


def _say_left_out(cells: Sequence[CellResult]) -> tuple[str, ...]:
    words: dict[Standing, str] = {
        "failed": "did not run",
        "skipped": "skipped",
        "pending": "not run yet",
        "unjudged": "not judged",
    }
    counts = Counter(cell.standing for cell in cells)
    found = [
        f"{plural(counts[name], 'cell')} {text}" for name, text in words.items() if counts[name]
    ]
    return (", ".join(found) + ".",) if found else ()


def _say_missing(cells: Sequence[CellResult]) -> tuple[str, ...]:
    """Return why cells have no verdict because a figure that the policy judges is missing."""
    missing = [cell for cell in cells if cell.standing == "missing"]
    reasons = "; ".join(dict.fromkeys(cell.reason for cell in missing))
    count = plural(len(missing), "cell has", "cells have")
    return (f"{count} no verdict: {reasons}.",) if missing else ()


def _say_broken_rules(run: Run) -> str:
    """Return which rules failed and in how many cells, the most first."""
    cells = run.judgement.cells if run.judgement else ()
    failed = Counter(
        words
        for cell in cells
        for words in {rule_words(j.rule): None for j in cell.errors if j.result == "fail"}
    )
    count = plural(len(cells), "cell")
    found = (f"{words} in {number} of {count}" for words, number in failed.most_common())
    return f"Not kept: {'; '.join(found)}."


def _find_nearest_miss(cells: Sequence[CellResult]) -> tuple[str, tuple[str, ...]]:
    """Return the failing cell that is least beyond its limits, and its broken rules' sentences."""
    failed = {
        cell.id: [judged for judged in cell.verdict.errors if judged.result == "fail"]
        for cell in cells
        if cell.standing == "fail" and cell.verdict
    }
    nearest = min(failed, key=lambda key: max(map(_measure_excess, failed[key]), default=0.0))
    return nearest, tuple(judged.sentence for judged in failed[nearest])


def _measure_excess(judged: RuleVerdict) -> float:
    """Return how far a value lies beyond its limit, as a share of that limit."""
    low, high = judged.rule.window
    if judged.observed is None:
        return 0.0
    over = (judged.observed - high) / (abs(high) or 1.0) if math.isfinite(high) else 0.0
    under = (low - judged.observed) / (abs(low) or 1.0) if math.isfinite(low) else 0.0
    return max(over, under)


_ANSWERS: Mapping[str, Callable[[Delta], bool]] = {
    "content": lambda delta: delta.definition.kind == "correctness",
    "fidelity": lambda delta: delta.definition.question == "fidelity",
    "variety": lambda delta: delta.definition.question == "variety",
}
"""Which losses answer a question that a verdict rests on. A CLIP score does not answer for content:
it hardly falls if one image in ten shows the wrong thing."""


def list_unanswered(run: Run) -> tuple[str, ...]:
    """Return a sentence for each question that no loss of an evaluated run answers."""
    evaluation = run.evaluation
    if evaluation is None or not run.plan.model.quality_applies or not run.candidates:
        return ()
    found = []
    for question, words in QUESTIONS.items():
        losses = [d for d in evaluation.deltas if _ANSWERS[question](d) and d.gates]
        if all(isinstance(delta.loss, Absent) for delta in losses):
            reason = _explain_unanswered(losses, evaluation.missing, question)
            found.append(f"Not checked: whether {words}: {reason}.")
    return tuple(found)


def _explain_unanswered(losses: list[Delta], missing: Mapping[str, str], question: str) -> str:
    absent = dict.fromkeys(
        f"{d.metric}: {d.loss.absent}" for d in losses if isinstance(d.loss, Absent)
    )
    asked = [name for name in missing if _asks(name, question)]
    reasons = [*absent, *(f"{name} is missing, {missing[name]}" for name in asked)]
    return "; ".join(reasons).rstrip(".") or "no metric of this run does (quality.metrics)"


def _asks(name: str, question: str) -> bool:
    metric = get_metric(name)
    return metric.kind == "correctness" if question == "content" else metric.question == question


def list_key_figures(best: CellResult) -> tuple[NamedValue, ...]:
    """Return the large figures under the headline: the best cell next to the baseline."""
    worst, cold = best.worst_loss, best.run.baseline.cold_start
    figures = [_show("speedup", best, _note_interval(best.speedup, "factor"))]
    figures.append(_show("image_s", best, _note_baseline(best, "image_s", best.baseline_image_s)))
    if isinstance(worst, WorstLoss):
        found = _show("worst_loss", best, _note_interval(worst.loss, "share"))
        figures.append(found.model_copy(update={"name": f"Worst loss, {worst.metric}"}))
    figures.append(
        _show("image_cost", best, _note_baseline(best, "image_cost", best.baseline_cost))
    )
    if not isinstance(cold, Absent):
        note = f"baseline {format_value(cold.total_s, 'seconds')}"
        figures.append(_show("cold_start_s", best, note))
    return tuple(figure for figure in figures if figure.value != DASH)


def _show(column: str, cell: CellResult, note: str) -> NamedValue:
    """Return a column's value without its interval."""
    shown = BY_NAME[column]
    value = format_value(shown.read(cell), shown.unit).partition(" [")[0]
    return NamedValue(name=shown.title, value=value, note=note)


def _note_interval(value: Interval | Absent, unit: Unit) -> str:
    if isinstance(value, Absent):
        return ""
    low, high = (format_value(end, unit) for end in (value.low, value.high))
    return f"95 % interval {low} to {high}"


def _note_baseline(best: CellResult, column: str, paired: Value) -> str:
    """Return the baseline's value in the same rounds, or its own."""
    shown = BY_NAME[column]
    if not isinstance(paired, Absent):
        return f"baseline in the same rounds {format_value(paired, shown.unit)}"
    own = format_value(shown.read(best.run.baseline), shown.unit).partition(" [")[0]
    return f"baseline {'unknown' if own == DASH else own}"


def list_terms(run: Run) -> tuple[str, ...]:
    """Return the terms of the answer: model, machine, images, policy, confidence, correction."""
    policy = run.policy
    holm = policy.correction == "holm"
    across = "Holm’s correction across cells" if holm else "no correction across cells"
    rules = [rule for rule in policy.gate if rule.severity == "error"]
    levels = " and ".join(dict.fromkeys(format_margin(rule.level) for rule in rules))
    only = rules[0] if len(rules) == 1 else None
    is_plain = only and only.quantity == "loss" and not only.metric and not only.where
    margin = f", margin {format_margin(only.margin or 0.0)}" if only and is_plain else ""
    return (
        run.plan.model.title,
        run.plan.machine.title,
        write_images_term(run),
        f"policy {policy.name}{margin}, confidence {levels}, {across}",
    )
