"""The section of one cell: its figures, what its settings did, and all that was measured of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.outcome import Caution, ColdStart, Completed, Failed
from harness.core.units import Absent, format_seconds, plural
from harness.reporting.cell_figures import (
    AppliedEffect,
    MemoryView,
    build_memory,
    list_effects,
    list_figures,
)
from harness.reporting.human_review import HumanReview, build_review
from harness.reporting.images import (
    ImagePair,
    Key,
    PageBudget,
    ShownImage,
    WorstGroup,
    choose_keys,
    index_images,
    list_worst,
    pair_images,
    show_image,
)
from harness.reporting.parts import (
    Bar,
    LatencyStrip,
    NamedValue,
    StepBars,
    divide,
    latency_strip,
    step_bars,
)
from harness.reporting.quality import MetricRow, list_metrics, list_tails
from harness.reporting.text import STANDINGS
from harness.reporting.timing import (
    MachineState,
    Paired,
    build_paired,
    select_cautions,
    summarize_machine,
)
from harness.reporting.traces import TraceView, view_trace
from harness.reporting.verdicts import (
    Sentence,
    count_waivers,
    list_deciding,
    list_sentences,
    say_what_decides,
)
from harness.results import CellResult, Standing
from harness.results.format import format_factor, format_value
from harness.results.losses import WorstLoss


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
    settings: tuple[NamedValue, ...]
    figures: tuple[NamedValue, ...]
    deciding: tuple[Sentence, ...] = ()
    """What decided the verdict; of a pass the closest rule."""
    sentences: tuple[Sentence, ...] = ()
    cautions: tuple[Sentence, ...] = ()
    """The sentences of rules of severity warning."""
    failing: tuple[Sentence, ...] = ()
    """Those of them that did not pass."""
    required_samples: str = ""
    metrics: tuple[MetricRow, ...] = ()
    tail: tuple[NamedValue, ...] = ()
    review: HumanReview | None = None
    pairs: tuple[ImagePair, ...] = ()
    worst: tuple[WorstGroup, ...] = ()
    own: tuple[ShownImage, ...] = ()
    sheet: tuple[ShownImage, ...] = ()
    """The cell's row of images in the overview."""
    strip: LatencyStrip | None = None
    stages: Bar | None = None
    cold: Bar | None = None
    steps: StepBars | None = None
    paired: Paired | None = None
    conditions: MachineState | None = None
    timing_warnings: tuple[Caution, ...] = ()
    memory: MemoryView | None = None
    memory_warnings: tuple[Caution, ...] = ()
    trace: TraceView | None = None
    trace_warnings: tuple[Caution, ...] = ()
    unprofiled: bool = False
    """It is recommended, but has no trace."""
    waived: str = ""
    """How many waivers its verdict needed."""
    effects: tuple[AppliedEffect, ...] = ()
    around: tuple[str, ...] = ()
    """The circumstances: threads, and the run that images were taken over from."""
    warnings: tuple[Caution, ...] = ()
    """Cautions about the whole cell, by the plan or the measurement."""
    failure: Failure | None = None


class Showing(NamedTuple):
    """How to show one cell; `notes` are the scores of single images, `out` the page's folder."""

    anchor: str
    budget: PageBudget
    notes: Mapping[Key, str]
    out: Path
    unprofiled: bool


def build_section(cell: CellResult, how: Showing) -> CellSection:
    """Return the section of one cell."""
    outcome, samples = cell.outcome, cell.samples
    settings = cell.planned.cell.by_axis.items()
    section = CellSection(
        anchor=how.anchor,
        id=cell.id,
        standing=cell.standing,
        word=STANDINGS[cell.standing],
        reason=cell.reason,
        summary=_summarize(cell),
        settings=tuple(NamedValue(name=axis, value=value) for axis, value in settings),
        figures=list_figures(cell),
        warnings=cell.planned.cautions,
        unprofiled=how.unprofiled,
        waived=count_waivers(cell),
    )
    if isinstance(outcome, Failed):
        when = f"{outcome.kind} during {outcome.phase} after {format_seconds(outcome.wall_s)}"
        text = f"{when}: {outcome.message}"
        failure = Failure(text=text, hint=outcome.hint, log=outcome.log[-6000:])
        return section.model_copy(update={"failure": failure})
    if samples is None:
        return section
    shown = _list_measured(cell, samples) | _draw(cell, samples, how) | _show_images(cell, how)
    return section.model_copy(update=shown)


def _list_measured(cell: CellResult, samples: Completed) -> dict[str, object]:
    reused = (f"taken over from {samples.reused_from}",) if samples.reused_from else ()
    cautions = tuple(dict.fromkeys((*cell.planned.cautions, *samples.warnings)))
    verdict = cell.verdict
    rules = verdict.rules if verdict else ()
    return {
        "deciding": list_deciding(verdict) if verdict else (),
        "sentences": list_sentences([j for j in rules if j.rule.severity == "error"]),
        "cautions": list_sentences([j for j in rules if j.rule.severity == "warning"]),
        "failing": list_sentences(verdict.warnings if verdict else ()),
        "required_samples": say_what_decides(cell),
        "metrics": list_metrics(cell),
        "tail": list_tails(cell),
        "review": build_review(cell),
        "effects": list_effects(samples),
        "around": (*reused, plural(samples.threads, "CPU thread")),
        "warnings": select_cautions("cell", cautions),
        "timing_warnings": select_cautions("timing", cautions),
        "memory_warnings": select_cautions("memory", cautions),
        "trace_warnings": select_cautions("trace", cautions),
    }


def _draw(cell: CellResult, samples: Completed, how: Showing) -> dict[str, object]:
    fine = how.budget.fine
    drawn: dict[str, object] = {
        "paired": build_paired(cell, fine),
        "conditions": summarize_machine(samples),
        "memory": build_memory(samples),
        "trace": view_trace(cell, samples, how.out, fine),
    }
    cold = cell.cold_start
    if not isinstance(cell.stages_s, Absent) and isinstance(cold, ColdStart):
        parts = {name.removesuffix("_s"): seconds for name, seconds in cold.model_dump().items()}
        drawn |= {
            "stages": divide("Stages of a call", cell.stages_s),
            "cold": divide("Cold start", parts),
        }
        drawn |= {"strip": latency_strip(cell), "steps": step_bars(samples)} if fine else {}
    return drawn


def _show_images(cell: CellResult, how: Showing) -> dict[str, object]:
    mine, budget = index_images(cell), how.budget
    keys, row = choose_keys(cell.run, budget.pairs), choose_keys(cell.run, budget.sheet)
    sheet = tuple(show_image(cell, mine.get(key)) for key in row) if mine else ()
    if cell.is_baseline or cell.run.baseline.samples is None:
        own = tuple(show_image(cell, mine[key]) for key in keys if key in mine)
        return {"own": own, "sheet": sheet}
    notes = {key: how.notes.get(key, "") for key in keys}
    worst = list_worst(cell, budget.worst)
    return {"pairs": pair_images(cell, notes), "worst": worst, "sheet": sheet}


def _summarize(cell: CellResult) -> str:
    """Return a cell in a line: its speed and worst loss, or why it has none."""
    if isinstance(cell.image_s, Absent):
        return cell.reason
    parts = [f"{format_seconds(cell.image_s.estimate)} per image"]
    if not cell.is_baseline and not isinstance(cell.speedup, Absent):
        parts.append(format_factor(cell.speedup.estimate))
    if isinstance(cell.worst_loss, WorstLoss):
        parts.append(f"worst loss {format_value(cell.worst_loss.loss, 'share')}")
    return " · ".join(parts)
