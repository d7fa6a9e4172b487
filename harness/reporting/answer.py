"""The answer a reader came for, in a sentence, before any chart."""

from typing import Literal

from harness.core.base import Frozen
from harness.core.units import Absent
from harness.reporting.facts import Facts, Timing, WorstLoss
from harness.reporting.loaded import Loaded
from harness.reporting.wording import factor, grouped, plural, round_share, seconds, share, share_interval

Kind = Literal["pass", "fail", "inconclusive", "unjudged"]


class KeyFigure(Frozen):
    """One large figure under the headline: what it is, its value, and a line that explains it."""

    name: str
    value: str
    note: str


class Answer(Frozen):
    """The headline, the cell to name first (`best`) with words before and after it, and what qualifies both."""

    kind: Kind
    headline: str
    sentences: tuple[str, ...]
    before: str = ""
    best: str = ""
    after: str = ""
    figures: tuple[KeyFigure, ...] = ()


def fastest(cells: list[Facts]) -> Facts | None:
    """Return the cell with the fewest seconds per image, or None where none was timed."""
    timed = [(cell.timing.image_s.estimate, cell) for cell in cells if isinstance(cell.timing, Timing)]
    return min(timed, key=lambda pair: pair[0])[1] if timed else None


def speed_words(timing: Timing) -> str:
    """Return how the cell's speed compares with the baseline's, in words."""
    if isinstance(timing.speedup, Absent):
        return f"{seconds(timing.image_s.estimate)} per image"
    ratio = timing.speedup.estimate
    return f"{factor(ratio)} faster" if ratio >= 1.005 else f"{factor(ratio)} the baseline's speed"


def key_figures(loaded: Loaded, best: Facts, baseline: Facts) -> tuple[KeyFigure, ...]:
    """Return the figures of the best cell next to the baseline's."""
    figures = []
    if isinstance(best.timing, Timing):
        speedup = best.timing.speedup
        if not isinstance(speedup, Absent):
            note = f"95 % interval {factor(speedup.low)} to {factor(speedup.high)}"
            figures.append(KeyFigure(name="Speedup", value=factor(speedup.estimate), note=note))
        was = seconds(baseline.timing.image_s.estimate) if isinstance(baseline.timing, Timing) else "unknown"
        now = seconds(best.timing.image_s.estimate)
        figures.append(KeyFigure(name="Seconds per image", value=now, note=f"baseline {was}"))
    if isinstance(best.worst, WorstLoss):
        low, high = share(best.worst.loss.low), share(best.worst.loss.high)
        note, name = f"95 % interval {low} to {high}", f"Worst loss, {best.worst.metric}"
        figures.append(KeyFigure(name=name, value=share(best.worst.loss.estimate), note=note))
    if isinstance(best.timing, Timing) and isinstance(baseline.timing, Timing):
        cold, was_cold = (sum(cell.timing.cold.model_dump().values()) for cell in (best, baseline))  # type: ignore[union-attr]
        figures.append(KeyFigure(name="Cold start", value=seconds(cold), note=f"baseline {seconds(was_cold)}"))
    return tuple(figures)


def _left_out(cells: list[Facts]) -> list[str]:
    sentences = []
    for standing, words in (
        ("failed", "did not run"), ("skipped", "skipped"), ("pending", "not run yet"), ("unjudged", "not judged"),
    ):  # fmt: skip
        count = sum(cell.standing == standing for cell in cells)
        if count:
            sentences.append(f"{plural(count, 'cell')} {words}")
    return [", ".join(sentences) + "."] if sentences else []


def settle_words(loaded: Loaded, cells: list[Facts]) -> list[str]:
    """Return what would settle the inconclusive cells."""
    undecided = [cell for cell in cells if cell.standing == "inconclusive"]
    if not undecided:
        return []
    needs = [_prompts_needed(loaded, cell) for cell in undecided]
    known = [need for need in needs if need is not None]
    lead = f"{plural(len(undecided), 'cell is', 'cells are')} inconclusive"
    if not known:
        return [f"{lead}; each one's section says why."]
    whom = "settle all of them" if len(known) == len(needs) else f"settle {len(known)} of them"
    whom = "settle it" if len(needs) == 1 else whom
    return [f"{lead}: {grouped(max(known))} prompts would {whom} (now {grouped(len(loaded.plan.prompts))})."]


def _prompts_needed(loaded: Loaded, cell: Facts) -> int | None:
    """Return the prompts that would settle a cell's open metrics, or None where more prompts would not."""
    verdict = loaded.verdict(cell.id)
    open_metrics = [metric for metric in verdict.metrics if metric.result == "inconclusive"] if verdict else []
    needed = [metric.prompts_needed for metric in open_metrics if metric.prompts_needed is not None]
    return max(needed) if needed and len(needed) == len(open_metrics) else None


def _missing(cells: list[Facts]) -> list[str]:
    """Return why cells have no verdict for want of a score."""
    missing = [cell for cell in cells if cell.standing == "missing"]
    if not missing:
        return []
    reasons = "; ".join(dict.fromkeys(cell.reason for cell in missing))
    return [f"{plural(len(missing), 'cell has', 'cells have')} no verdict: {reasons}."]


def _judged(loaded: Loaded, cells: list[Facts], baseline: Facts) -> Answer:
    passing = [cell for cell in cells if cell.standing == "pass"]
    rest = [*settle_words(loaded, cells), *_missing(cells), *_left_out(cells)]
    best = fastest(passing)
    if best is not None and isinstance(best.timing, Timing):
        loss = f", worst loss {share_interval(best.worst.loss)}" if isinstance(best.worst, WorstLoss) else ""
        after = f": {speed_words(best.timing)}{loss}."
        headline = f"{len(passing)} of {plural(len(cells), 'cell')} may ship."
        figures = key_figures(loaded, best, baseline)
        return Answer(kind="pass", headline=headline, before="Fastest that may: ", best=best.id, after=after,
                      sentences=tuple(rest), figures=figures)  # fmt: skip
    if any(cell.standing == "inconclusive" for cell in cells):
        return Answer(kind="inconclusive", headline="Nothing may ship yet.", sentences=tuple(rest))
    judged = [(cell.worst, cell.id) for cell in cells if isinstance(cell.worst, WorstLoss)]
    if not judged or not any(cell.standing == "fail" for cell in cells):
        return Answer(kind="unjudged", headline="No verdict.", sentences=tuple(rest))
    worst, nearest = min(judged, key=lambda pair: pair[0].loss.estimate)
    after = f", worst loss {share_interval(worst.loss)} ({worst.metric})."
    return Answer(kind="fail", headline="Nothing may ship.", sentences=tuple(rest), before="Nearest: ", best=nearest,
                  after=after)  # fmt: skip


def _unjudged(loaded: Loaded, cells: list[Facts], baseline: Facts) -> Answer:
    """Return what can be said of a run that is not judged, and the command that comes next."""
    if isinstance(baseline.timing, Absent):
        why = f"The baseline {baseline.id} has no result ({baseline.reason}): nothing can be compared with it."
        return Answer(kind="unjudged", headline="No answer.", sentences=(why, *_left_out(cells)))
    best = fastest(cells)
    sentences = []
    after = ""
    if best is not None and isinstance(best.timing, Timing):
        after = f": {speed_words(best.timing)}, at a quality that is not known."
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


def answer_of(loaded: Loaded, facts: tuple[Facts, ...]) -> Answer:
    """Return the answer of a run in whatever state it is."""
    baseline = next(cell for cell in facts if cell.id == loaded.plan.baseline_id)
    cells = [cell for cell in facts if cell.planned.role == "candidate"]
    judged = any(cell.standing in ("pass", "fail", "inconclusive", "missing") for cell in cells)
    judged = judged and loaded.plan.model.quality_applies
    return _judged(loaded, cells, baseline) if judged else _unjudged(loaded, cells, baseline)


def terms_of(loaded: Loaded) -> tuple[str, ...]:
    """Return the terms of the answer: machine, images, margin, confidence, correction."""
    plan = loaded.plan
    images = len(plan.prompts) * len(plan.matrix.seeds)
    margin, alpha, correction = plan.matrix.gate.margin, plan.matrix.gate.alpha, plan.matrix.gate.correction
    if loaded.judgement:
        margin, alpha, correction = loaded.judgement.margin, loaded.judgement.alpha, loaded.judgement.correction
    across = "Holm’s correction across cells" if correction == "holm" else "no correction across cells"
    return (
        plan.model.title,
        plan.machine.title,
        f"{plural(images, 'image')} per cell",
        f"margin {round_share(margin)}, confidence {round_share(1 - alpha)}, {across}",
    )
