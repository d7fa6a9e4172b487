"""What a page says about one cell."""

from pathlib import Path
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.outcome import Caution, Completed, Failed
from harness.reporting.applied_effects import AppliedEffect, list_applied_effects
from harness.reporting.cautions import cautions_at
from harness.reporting.cell_figures import list_figures, summarize
from harness.reporting.cell_quality import MetricRow, metric_rows, tail_rows
from harness.reporting.conditions import Meanwhile, summarize_conditions
from harness.reporting.facts import Facts, Standing, Timing
from harness.reporting.judged import Sentence, write_sentences
from harness.reporting.loaded import LoadedRun
from harness.reporting.memory import MemoryView, build_memory
from harness.reporting.named import Named
from harness.reporting.paired import Paired, build_paired
from harness.reporting.pictures import ImagePair, Key, PageBudget, Picture, images_by_key, list_pairs, show, shown_keys
from harness.reporting.required_samples import cell_words
from harness.reporting.strips import Bars, LatencyStrip, PartBar, cold_parts, latency_strip, part_bar, step_bars
from harness.reporting.traces import TraceView, trace_view
from harness.reporting.wording import WORDS, plural, seconds
from harness.reporting.worst import WorstGroup, worst_groups


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
    required_samples: str = ""
    metrics: tuple[MetricRow, ...] = ()
    tail: tuple[Named, ...] = ()
    pairs: tuple[ImagePair, ...] = ()
    worst: tuple[WorstGroup, ...] = ()
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
    applied_effects: tuple[AppliedEffect, ...] = ()
    """What each setting really did."""
    around: tuple[str, ...] = ()
    """In what circumstances: threads, and where figures were taken over from."""
    warnings: tuple[Caution, ...] = ()
    """Of the plan, and of what was seen while measuring, that are not about one of the figures above."""
    failure: Failure | None = None


class Showing(NamedTuple):
    """How to show one cell: as many pictures as `share`, with the scores of single ones in `notes`.

    `out` is the folder of the page.
    """

    anchor: str
    share: PageBudget
    notes: dict[Key, str]
    out: Path
    unprofiled: bool


def build_section(loaded: LoadedRun, facts: Facts, how: Showing) -> CellSection:
    """Return the section of one cell."""
    settings = tuple(Named(name=axis, value=value) for axis, value in facts.planned.cell.by_axis.items())
    section = CellSection(
        anchor=how.anchor, id=facts.id, standing=facts.standing, word=WORDS[facts.standing], reason=facts.reason,
        summary=summarize(facts), settings=settings, figures=list_figures(loaded, facts),
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


def _measured(loaded: LoadedRun, facts: Facts, cell: Completed) -> dict[str, object]:
    verdict = loaded.verdict(facts.id)
    sentences, cautions = write_sentences(verdict)
    reused = (f"taken over from {cell.reused_from}",) if cell.reused_from else ()
    every = tuple(dict.fromkeys((*facts.planned.cautions, *cell.warnings)))  # the worker repeats the plan's
    return {
        "sentences": sentences,
        "cautions": cautions,
        "required_samples": cell_words(loaded, verdict),
        "metrics": metric_rows(loaded, facts.id),
        "tail": tail_rows(loaded, facts.id),
        "applied_effects": list_applied_effects(cell),
        "around": (*reused, plural(cell.threads, "CPU thread")),
        "warnings": cautions_at("cell", every),
        "timing_warnings": cautions_at("timing", every),
        "memory_warnings": cautions_at("memory", every),
        "trace_warnings": cautions_at("trace", every),
    }


def _samples(loaded: LoadedRun, facts: Facts, cell: Completed, fine: bool) -> dict[str, object]:
    """Return what was measured call by call: times, the machine meanwhile, memory."""
    drawn: dict[str, object] = {
        "paired": build_paired(loaded, facts, cell, fine),
        "conditions": summarize_conditions(cell),
        "memory": build_memory(cell),
    }
    if isinstance(facts.timing, Timing):
        drawn |= {"stages": part_bar(facts.timing.stages_s), "cold": cold_parts(facts.timing)}
        drawn |= {"strip": latency_strip(cell, facts.timing), "steps": step_bars(cell)} if fine else {}
    return drawn


def _pictures(loaded: LoadedRun, facts: Facts, how: Showing) -> dict[str, object]:
    keys = shown_keys(loaded, how.share.pairs)
    if facts.standing == "baseline" or loaded.baseline is None:
        mine = images_by_key(loaded, facts.id)
        return {"own": tuple(show(loaded, facts.id, mine[key]) for key in keys if key in mine)}
    return {
        "pairs": list_pairs(loaded, facts.id, keys, how.notes),
        "worst": worst_groups(loaded, facts.id, how.share.worst),
    }
