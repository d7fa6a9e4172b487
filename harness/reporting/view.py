"""The whole page as a typed model: templates only loop over it."""

import re
from pathlib import Path
from typing import Any

from harness.core.base import Frozen
from harness.core.errors import ResultsError
from harness.core.plan import PlannedCell
from harness.core.quality import Definition
from harness.reporting.answer import Answer, list_terms
from harness.reporting.cell_view import CellSection, Showing, build_section
from harness.reporting.facts import Facts, Standing
from harness.reporting.forest import ForestPanel, build_forest
from harness.reporting.glossary import TERMS
from harness.reporting.judged import Judged, build_judged
from harness.reporting.ladder import LadderView, build_ladder, list_alarms
from harness.reporting.loaded import LoadedRun
from harness.reporting.machine import machine_rows
from harness.reporting.named import Named
from harness.reporting.pareto import LossAxis, Point, loss_axis, not_drawn
from harness.reporting.pictures import Key, PageBudget, Picture, budget_page, images_by_key, show, shown_keys
from harness.reporting.recommended import recommended
from harness.reporting.rerun import self_check
from harness.reporting.sampling import Sampling, build_sampling
from harness.reporting.table import Table, build_table
from harness.reporting.timing_method import TimingMethod, describe_method
from harness.reporting.wall_time import WallTime, build_wall_time
from harness.reporting.wording import WORDS, number, plural
from harness.reporting.worst import WorstGroup, worst_groups
from harness.store import read_image_scores
from harness.store.layout import RunFolder, report_folder


class SheetRow(Frozen):
    """One cell's strip of pictures in the overview."""

    anchor: str
    id: str
    standing: Standing
    word: str
    pictures: tuple[Picture, ...]


class Page(Frozen):
    """Everything the page shows, in its order."""

    title: str
    about: str
    run_id: str
    answer: Answer
    terms: tuple[str, ...]
    alarms: tuple[Named, ...]
    notes: tuple[str, ...]
    judged: Judged
    sampling: Sampling | None
    axis: LossAxis
    points: tuple[Point, ...]
    not_drawn: tuple[str, ...]
    forest: tuple[ForestPanel, ...]
    table: Table
    sheet_prompts: tuple[str, ...]
    sheet: tuple[SheetRow, ...]
    judge: tuple[WorstGroup, ...]
    """The worst pictures of the cell that the answer recommends, by each kind of metric."""
    cells: tuple[CellSection, ...]
    pictures_note: str
    definitions: tuple[Definition, ...]
    missing: tuple[Named, ...]
    timed: TimingMethod | None
    ladder: LadderView | None
    machine: tuple[Named, ...]
    packages: tuple[Named, ...]
    matrix_text: str
    wall_time: WallTime
    glossary: tuple[tuple[str, str], ...]
    standings: tuple[tuple[Standing, str], ...]
    anchors: dict[str, str]

    @property
    def applied_effects(self) -> tuple[Named, ...]:
        """What settings did, each sentence once: the value is the sentence, the note the cells it is true of."""
        cells: dict[tuple[str, str], list[str]] = {}
        for cell in self.cells:
            for applied_effect in cell.applied_effects:
                cells.setdefault((f"{applied_effect.axis} {applied_effect.value}", applied_effect.summary), []).append(
                    cell.id
                )
        return tuple(
            Named(name=name, value=summary, note=ids[0] if len(ids) == 1 else plural(len(ids), "cell"))
            for (name, summary), ids in cells.items()
        )

    @property
    def findings(self) -> tuple[Named, ...]:
        """What traces say in plain words: the first sentence of every cell that has one."""
        findings = ((cell.id, cell.trace.findings) for cell in self.cells if cell.trace and cell.trace.findings)
        return tuple(
            Named(name=cell_id, value=found.advice[0].sentence if found.advice else found.bound)
            for cell_id, found in findings
        )


def make_anchors(cells: tuple[PlannedCell, ...]) -> dict[str, str]:
    """Return cell id → a unique name that is safe in an address."""
    anchors: dict[str, str] = {}
    for planned in cells:
        slug = "cell-" + re.sub(r"[^A-Za-z0-9._-]+", "-", planned.id).strip("-")
        taken = set(anchors.values())
        anchors[planned.id] = slug if slug not in taken else f"{slug}-{planned.order}"
    return anchors


def image_notes(loaded: LoadedRun) -> dict[str, dict[Key, str]]:
    """Return cell id → picture → its score by the first paired metric that keeps scores of single pictures."""
    if loaded.evaluation is None:
        return {}
    paired = {s.definition.metric: s.definition for s in loaded.evaluation.scores if s.definition.kind == "paired"}
    for metric in sorted(paired, key=lambda name: not name.startswith("lpips")):
        if RunFolder(loaded.run).scores(metric).exists():
            notes: dict[str, dict[Key, str]] = {}
            definition, rows = read_image_scores(loaded.run, metric)
            if apart := definition.difference(paired[metric]):
                where, fix = str(RunFolder(loaded.run).scores(metric)), f"Run: harness evaluate {loaded.run.name}"
                raise ResultsError(
                    f"scores of single pictures have another definition than their mean: {apart}", where, fix
                )
            for cell, prompt, seed, value in rows:
                notes.setdefault(cell, {})[(prompt, seed)] = f"{metric} {number(value)}"
            return notes
    return {}


def _sheet(
    loaded: LoadedRun, facts: tuple[Facts, ...], anchors: dict[str, str], share: PageBudget
) -> tuple[SheetRow, ...]:
    keys = shown_keys(loaded, share.sheet)
    rows = []
    for cell in facts:
        mine = images_by_key(loaded, cell.id)
        if mine and keys:
            pictures = tuple(show(loaded, cell.id, mine.get(key)) for key in keys)
            row = SheetRow(anchor=anchors[cell.id], id=cell.id, standing=cell.standing, word=WORDS[cell.standing],
                           pictures=pictures)  # fmt: skip
            rows.append(row)
    return tuple(sorted(rows, key=lambda row: row.standing != "baseline"))


def _definitions(loaded: LoadedRun) -> tuple[Definition, ...]:
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    definitions = [score.definition for score in evaluation.scores] + [delta.definition for delta in evaluation.deltas]
    return tuple({definition.metric: definition for definition in definitions}.values())


def list_notes(loaded: LoadedRun) -> tuple[str, ...]:
    """Return what the plan, the gate and the A/A check want a reader to know."""
    judged = loaded.judgement.notes if loaded.judgement else ()
    check = self_check(loaded)
    doubt = (check.sentence,) if check and check.holds is False else ()
    return tuple(note.rstrip(".") for note in (*loaded.plan.notes, *judged, *doubt))


def build_view(loaded: LoadedRun, facts: tuple[Facts, ...], report_s: float, out: Path | None = None) -> Page:
    """Return the page of a run in whatever state it is; `report_s` is what the report took so far.

    `out` is the page's folder, from where traces are linked: where a report goes by default.
    """
    plan, evaluation = loaded.plan, loaded.evaluation
    anchors = make_anchors(plan.compared)
    share, notes = budget_page(len(facts)), image_notes(loaded)
    answer, points, untraced = recommended(loaded, facts)
    texts = [loaded.prompt_texts[prompt] for prompt, _ in shown_keys(loaded, share.sheet)]
    folder = out or report_folder(loaded.run)
    table = build_table(loaded, facts, anchors, points, untraced)
    ranked = {row.id: rank for rank, row in enumerate(table.rows)}
    sections = [
        build_section(
            loaded, cell, Showing(anchors[cell.id], share, notes.get(cell.id, {}), folder, cell.id in untraced)
        )
        for cell in facts
    ]
    images = len(plan.prompts) * len(plan.matrix.seeds)
    ordered = tuple(sorted(facts, key=lambda cell: ranked[cell.id]))
    extra: dict[str, Any] = {
        "timed": describe_method(loaded, facts),
        "judged": build_judged(loaded, ordered, anchors, untraced),
        "missing": tuple(Named(name=name, value=why) for name, why in evaluation.missing.items()) if evaluation else (),
        "packages": tuple(Named(name=name, value=version) for name, version in sorted(plan.machine.packages.items())),
        "pictures_note": f"{min(share.pairs, images)} of {plural(images, 'image')} shown, spread over the prompts",
    }
    return Page(
        title=plan.matrix.name, about=plan.matrix.about, run_id=plan.run_id, answer=answer,
        terms=list_terms(loaded), notes=list_notes(loaded),
        alarms=list_alarms(loaded), sampling=build_sampling(loaded), axis=loss_axis(loaded), points=points,
        not_drawn=not_drawn(facts, points), forest=build_forest(loaded, facts),
        table=table, sheet_prompts=tuple(texts), sheet=_sheet(loaded, facts, anchors, share),
        cells=tuple(sorted(sections, key=lambda section: ranked[section.id])), definitions=_definitions(loaded),
        ladder=build_ladder(loaded), judge=worst_groups(loaded, answer.best) if answer.recommends else (),
        machine=machine_rows(loaded),
        matrix_text=loaded.matrix_text,
        wall_time=build_wall_time(loaded, report_s), glossary=TERMS,
        standings=tuple((name, word) for name, word, _ in table.standings), anchors=anchors, **extra,
    )  # fmt: skip
