"""What a page says about one cell."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.outcome import Caution, Completed, Failed
from harness.core.quality import Delta, Interval
from harness.core.units import Absent
from harness.reporting.applied import Deed, deeds_of
from harness.reporting.cautions import cautions_at
from harness.reporting.conditions import Meanwhile, conditions_of
from harness.reporting.energy import energy_figures
from harness.reporting.facts import Facts, Standing, Timing
from harness.reporting.floor import floor_figures
from harness.reporting.forest import metric_result
from harness.reporting.held import WorstLoss
from harness.reporting.judged import Sentence, sentences_of
from harness.reporting.loaded import Loaded
from harness.reporting.memory import MemoryView, memory_of
from harness.reporting.named import Named
from harness.reporting.paired import Paired, paired_of
from harness.reporting.payback import payback_figures
from harness.reporting.pictures import Key, Pair, Picture, Share, images_by_key, pairs_of, show, shown_keys
from harness.reporting.sampling import look_words, prompts_judged
from harness.reporting.settling import cell_words
from harness.reporting.strips import Bars, LatencyStrip, PartBar, cold_parts, latency_strip, part_bar, step_bars
from harness.reporting.traces import TraceView, trace_view
from harness.reporting.wording import (
    DASH,
    WORDS,
    factor_interval,
    grouped,
    number,
    plural,
    rate,
    seconds,
    seconds_interval,
    share,
    share_interval,
    size,
)  # fmt: skip


class MetricRow(Frozen):
    """One metric of a cell next to the baseline's."""

    metric: str
    kind: str
    baseline: str
    candidate: str
    literal: str
    loss: str
    standing: Standing | None
    note: str


class Failure(Frozen):
    """Why a cell did not complete, what to try, and the end of its log."""

    text: str
    hint: str
    log: str


class CellSection(Frozen):
    """Everything a page says about one cell."""

    anchor: str
    id: str
    standing: Standing
    word: str
    reason: str
    summary: str
    settings: tuple[Named, ...]
    figures: tuple[Named, ...]
    sentences: tuple[Sentence, ...] = ()
    cautions: tuple[Sentence, ...] = ()
    """What rules of severity warning say."""
    settle: str = ""
    metrics: tuple[MetricRow, ...] = ()
    tail: tuple[Named, ...] = ()
    pairs: tuple[Pair, ...] = ()
    worst: tuple[Pair, ...] = ()
    own: tuple[Picture, ...] = ()
    strip: LatencyStrip | None = None
    stages: PartBar | None = None
    cold: PartBar | None = None
    steps: Bars | None = None
    paired: Paired | None = None
    conditions: Meanwhile | None = None
    timing_warnings: tuple[Caution, ...] = ()
    memory: MemoryView | None = None
    memory_warnings: tuple[Caution, ...] = ()
    trace: TraceView | None = None
    trace_warnings: tuple[Caution, ...] = ()
    unprofiled: bool = False
    """It is recommended, but has no trace."""
    deeds: tuple[Deed, ...] = ()
    """What each setting really did."""
    around: tuple[str, ...] = ()
    """In what circumstances: threads, and where figures were taken over from."""
    warnings: tuple[Caution, ...] = ()
    """Of the plan, and of what was seen while measuring, that are not about one of the figures above."""
    failure: Failure | None = None


def _write(value: Interval | Absent, words: Callable[[Interval], str]) -> str:
    return DASH if isinstance(value, Absent) else words(value)


def summary_of(facts: Facts) -> str:
    """Return a cell in a line: its speed and worst loss, or why it has none."""
    if isinstance(facts.timing, Absent):
        return facts.reason
    parts = [f"{seconds(facts.timing.image_s.estimate)} per image"]
    if facts.standing != "baseline" and not isinstance(facts.timing.speedup, Absent):
        parts.append(factor_interval(facts.timing.speedup).split(" ")[0])
    if isinstance(facts.worst, WorstLoss):
        parts.append(f"worst loss {share_interval(facts.worst.loss)}")
    return " · ".join(parts)


def figures_of(loaded: Loaded, facts: Facts) -> tuple[Named, ...]:
    """Return a cell's main figures, each with its interval or reason."""
    timing = facts.timing
    if isinstance(timing, Absent):
        return ()
    calls = str(facts.denoiser_calls) if not isinstance(facts.denoiser_calls, Absent) else DASH
    made = [
        Named(
            name="Latency", value=seconds_interval(timing.latency_s), note=f"one call, {plural(timing.batch, 'image')}"
        ),
        Named(name="Throughput", value=f"{rate(timing.throughput)} images/s"),
        Named(name="Speedup", value=factor_interval(timing.speedup), note=_why(timing.speedup)),
        Named(name="Cold start", value=seconds(sum(timing.cold.model_dump().values())), note="until the first image"),
        *payback_figures(loaded, facts),
        Named(name="Peak memory", value=size(facts.peak_memory_bytes), note=_why(facts.peak_memory_bytes)),
        Named(name="Denoiser calls", value=calls, note="counted"),
        *((*energy_figures(loaded, facts, cell), *floor_figures(cell)) if (cell := loaded.completed(facts.id)) else ()),
    ]
    if facts.images:
        prompts = prompts_judged(loaded, facts.id)
        judged = f"judged on {plural(prompts, 'prompt')}" if prompts else ""
        notes = (judged, look_words(loaded, facts.id))
        made.append(Named(name="Images", value=grouped(facts.images), note=", ".join(note for note in notes if note)))
    if isinstance(facts.worst, WorstLoss):
        made.insert(3, Named(name="Worst loss", value=share_interval(facts.worst.loss), note=facts.worst.metric))
    return tuple(made)


def _why(value: object) -> str:
    return value.absent if isinstance(value, Absent) else ""


def metric_rows(loaded: Loaded, cell_id: str) -> tuple[MetricRow, ...]:
    """Return every metric of a cell against the baseline, literal change and loss."""
    return tuple(_metric_row(loaded, delta) for delta in loaded.deltas(cell_id))


def _metric_row(loaded: Loaded, delta: Delta) -> MetricRow:
    unit = f" {delta.definition.unit}" if delta.definition.unit else ""
    anchors = ", ".join(f"{name} {number(value)}" for name, value in delta.calibration.items())
    notes = [
        delta.why_not,
        f"loss: {_why(delta.loss)}" if _why(delta.loss) else "",
        f"anchors: {anchors}" if anchors else "",
    ]
    if isinstance(delta.literal, Absent):
        notes.append(f"literal: {delta.literal.absent}")
    return MetricRow(
        metric=delta.metric,
        kind=delta.definition.kind,
        baseline=number(delta.baseline) + unit,
        candidate=number(delta.candidate) + unit,
        literal=_write(delta.literal, share_interval),
        loss=_write(delta.loss, share_interval),
        standing=metric_result(loaded, delta),
        note="; ".join(note for note in notes if note),
    )


def tail_rows(loaded: Loaded, cell_id: str) -> tuple[Named, ...]:
    """Return what the means of a cell hide: broken images, and the mean of each metric's worst tenth."""
    tail, base = loaded.tail(cell_id), loaded.tail(loaded.plan.baseline_id)
    if tail is None:
        return ()
    note = f"at most {share(tail.broken_share_high)} at 95 % confidence"
    rows = [Named(name="Broken images", value=f"{grouped(tail.broken)} of {grouped(tail.n)}", note=note)]
    for metric, value in tail.worst_decile.items():
        own = base.worst_decile.get(metric) if base and cell_id != loaded.plan.baseline_id else None
        alike = own is not None and metric in aligned(loaded)
        note = f"baseline {number(own)}" if alike and own is not None else ""
        rows.append(Named(name=f"Worst tenth, {metric}", value=number(value), note=note))
    return tuple(rows)


def aligned(loaded: Loaded) -> set[str]:
    """Return the metrics that score the baseline's own pictures too; paired ones only compare with them."""
    scores = loaded.evaluation.scores if loaded.evaluation else ()
    return {score.definition.metric for score in scores if score.definition.kind == "alignment"}


def _worst_pairs(loaded: Loaded, cell_id: str, count: int) -> tuple[Pair, ...]:
    tail = loaded.tail(cell_id)
    worst = tail.worst[:count] if tail else ()
    notes = {(image.prompt_id, image.seed): f"{image.metric} {number(image.value)}" for image in worst}
    return pairs_of(loaded, cell_id, list(notes), notes)


class Showing(NamedTuple):
    """How to show one cell: as many pictures as `share`, with the scores of single ones in `notes`.

    `out` is the folder of the page.
    """

    anchor: str
    share: Share
    notes: dict[Key, str]
    out: Path
    unprofiled: bool


def section_of(loaded: Loaded, facts: Facts, how: Showing) -> CellSection:
    """Return the section of one cell."""
    settings = tuple(Named(name=axis, value=value) for axis, value in facts.planned.cell.by_axis.items())
    section = CellSection(
        anchor=how.anchor, id=facts.id, standing=facts.standing, word=WORDS[facts.standing], reason=facts.reason,
        summary=summary_of(facts), settings=settings, figures=figures_of(loaded, facts),
        warnings=facts.planned.cautions, unprofiled=how.unprofiled,
    )  # fmt: skip
    outcome = loaded.outcomes.get(facts.id)
    if isinstance(outcome, Failed):
        text = f"{outcome.kind} during {outcome.phase} after {seconds(outcome.wall_s)}: {outcome.message}"
        failure = Failure(text=text, hint=outcome.hint, log=outcome.log[-6000:])
        return section.model_copy(update={"failure": failure})
    if not isinstance(outcome, Completed):
        return section
    drawn = _samples(loaded, facts, outcome, how.share.fine)
    drawn["trace"] = trace_view(loaded, facts.id, outcome, how.out, how.share.fine)
    return section.model_copy(update=_measured(loaded, facts, outcome) | drawn | _pictures(loaded, facts, how))


def _measured(loaded: Loaded, facts: Facts, cell: Completed) -> dict[str, object]:
    verdict = loaded.verdict(facts.id)
    sentences, cautions = sentences_of(verdict)
    reused = (f"taken over from {cell.reused_from}",) if cell.reused_from else ()
    every = tuple(dict.fromkeys((*facts.planned.cautions, *cell.warnings)))  # the worker repeats the plan's
    return {
        "sentences": sentences,
        "cautions": cautions,
        "settle": cell_words(loaded, verdict),
        "metrics": metric_rows(loaded, facts.id),
        "tail": tail_rows(loaded, facts.id),
        "deeds": deeds_of(cell),
        "around": (*reused, plural(cell.threads, "CPU thread")),
        "warnings": cautions_at("cell", every),
        "timing_warnings": cautions_at("timing", every),
        "memory_warnings": cautions_at("memory", every),
        "trace_warnings": cautions_at("trace", every),
    }


def _samples(loaded: Loaded, facts: Facts, cell: Completed, fine: bool) -> dict[str, object]:
    """Return what was measured call by call: times, the machine meanwhile, memory."""
    drawn: dict[str, object] = {
        "paired": paired_of(loaded, facts, cell, fine),
        "conditions": conditions_of(cell),
        "memory": memory_of(cell),
    }
    if isinstance(facts.timing, Timing):
        drawn |= {"stages": part_bar(facts.timing.stages_s), "cold": cold_parts(facts.timing)}
        drawn |= {"strip": latency_strip(cell, facts.timing), "steps": step_bars(cell)} if fine else {}
    return drawn


def _pictures(loaded: Loaded, facts: Facts, how: Showing) -> dict[str, object]:
    keys = shown_keys(loaded, how.share.pairs)
    if facts.standing == "baseline" or loaded.baseline is None:
        mine = images_by_key(loaded, facts.id)
        return {"own": tuple(show(loaded, facts.id, mine[key]) for key in keys if key in mine)}
    return {
        "pairs": pairs_of(loaded, facts.id, keys, how.notes),
        "worst": _worst_pairs(loaded, facts.id, how.share.worst),
    }
