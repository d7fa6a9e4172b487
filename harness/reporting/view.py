"""The whole page as a typed model: templates only loop over it."""

import re
from typing import Any

from harness.core.base import Frozen
from harness.core.plan import PlannedCell
from harness.core.quality import Definition
from harness.core.units import Absent, format_bytes
from harness.reporting.answer import Answer, answer_of, terms_of
from harness.reporting.cell_view import CellSection, Named, section_of
from harness.reporting.facts import Facts, Standing
from harness.reporting.forest import ForestPanel, forest_of
from harness.reporting.glossary import TERMS
from harness.reporting.ledger import Ledger, ledger_of
from harness.reporting.loaded import Loaded
from harness.reporting.pareto import Point, not_drawn, points_of
from harness.reporting.pictures import Key, Picture, Share, images_by_key, share_of, show, shown_keys
from harness.reporting.table import Table, table_of
from harness.reporting.wording import DASH, WORDS, number, plural, round_share, share_interval
from harness.store import read_image_scores
from harness.store.layout import RunFolder


class SheetRow(Frozen):
    """One cell's strip of pictures in the overview."""

    anchor: str
    id: str
    standing: Standing
    word: str
    pictures: tuple[Picture, ...]


class ControlRow(Frozen):
    """One metric's losses on the damaged baselines, in the order of the controls."""

    metric: str
    blind: bool
    losses: tuple[Named, ...]


class Page(Frozen):
    """Everything the page shows, in its order."""

    title: str
    about: str
    run_id: str
    answer: Answer
    terms: tuple[str, ...]
    notes: tuple[str, ...]
    margin: str
    points: tuple[Point, ...]
    not_drawn: tuple[str, ...]
    forest: tuple[ForestPanel, ...]
    table: Table
    sheet_prompts: tuple[str, ...]
    sheet: tuple[SheetRow, ...]
    cells: tuple[CellSection, ...]
    pictures_note: str
    definitions: tuple[Definition, ...]
    missing: tuple[Named, ...]
    control_names: tuple[str, ...]
    controls: tuple[ControlRow, ...]
    machine: tuple[Named, ...]
    packages: tuple[Named, ...]
    matrix_text: str
    ledger: Ledger
    glossary: tuple[tuple[str, str], ...]
    standings: tuple[tuple[Standing, str], ...]
    anchors: dict[str, str]


def anchors_of(cells: tuple[PlannedCell, ...]) -> dict[str, str]:
    """Return cell id → a unique name that is safe in an address."""
    anchors: dict[str, str] = {}
    for planned in cells:
        slug = "cell-" + re.sub(r"[^A-Za-z0-9._-]+", "-", planned.id).strip("-")
        taken = set(anchors.values())
        anchors[planned.id] = slug if slug not in taken else f"{slug}-{planned.order}"
    return anchors


def image_notes(loaded: Loaded) -> dict[str, dict[Key, str]]:
    """Return cell id → picture → its score by the first paired metric that keeps scores of single pictures."""
    if loaded.evaluation is None:
        return {}
    paired = [score.definition.metric for score in loaded.evaluation.scores if score.definition.kind == "paired"]
    for metric in dict.fromkeys(sorted(paired, key=lambda name: not name.startswith("lpips"))):
        if RunFolder(loaded.run).scores(metric).exists():
            notes: dict[str, dict[Key, str]] = {}
            for cell, prompt, seed, value in read_image_scores(loaded.run, metric)[1]:
                notes.setdefault(cell, {})[(prompt, seed)] = f"{metric} {number(value)}"
            return notes
    return {}


def _sheet(loaded: Loaded, facts: tuple[Facts, ...], anchors: dict[str, str], share: Share) -> tuple[SheetRow, ...]:
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


def control_names(loaded: Loaded) -> tuple[str, ...]:
    """Return the controls of an evaluation, in order."""
    controls = loaded.evaluation.controls if loaded.evaluation else ()
    return tuple(dict.fromkeys(control.control for control in controls))


def control_rows(loaded: Loaded) -> tuple[ControlRow, ...]:
    """Return what each metric made of each control."""
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    found = {(control.metric, control.control): control for control in evaluation.controls}
    rows = []
    for metric in dict.fromkeys(control.metric for control in evaluation.controls):
        losses = []
        for name in control_names(loaded):
            control = found.get((metric, name))
            value = share_interval(control.loss) if control else DASH
            losses.append(Named(name=name, value=value, note="not noticed" if control and not control.detected else ""))
        rows.append(ControlRow(metric=metric, blind=metric in evaluation.blind, losses=tuple(losses)))
    return tuple(rows)


def _machine(loaded: Loaded) -> tuple[Named, ...]:
    machine = loaded.plan.machine
    rows = [Named(name="Name", value=machine.name)]
    for gpu in machine.gpus:
        limit = "power limit unknown" if isinstance(gpu.power_limit_w, Absent) else f"{gpu.power_limit_w:.0f} W"
        capability = ".".join(map(str, gpu.capability))
        note = f"compute capability {capability}, driver {gpu.driver}, CUDA {gpu.cuda}, {limit}"
        rows.append(Named(name="GPU", value=f"{gpu.name}, {format_bytes(gpu.memory_bytes)}", note=note))
    if not machine.gpus:
        rows.append(Named(name="GPU", value="none"))
    commit = "unknown" if isinstance(machine.git_commit, Absent) else machine.git_commit[:12]
    rows += [
        Named(name="Processor", value=f"{machine.cpu}, {plural(machine.cpu_cores, 'core')}"),
        Named(name="Memory", value=format_bytes(machine.memory_bytes)),
        Named(name="System", value=machine.os),
        Named(name="Python", value=machine.python),
        Named(name="Commit", value=commit, note="with local changes" if machine.git_dirty is True else ""),
        Named(
            name="Model",
            value=loaded.plan.model.title,
            note=f"{loaded.plan.model.family}, {loaded.plan.model.digest[:12]}",
        ),
    ]
    return tuple(rows)


def _definitions(loaded: Loaded) -> tuple[Definition, ...]:
    evaluation = loaded.evaluation
    if evaluation is None:
        return ()
    definitions = [score.definition for score in evaluation.scores] + [delta.definition for delta in evaluation.deltas]
    return tuple({definition.metric: definition for definition in definitions}.values())


def view_of(loaded: Loaded, facts: tuple[Facts, ...], report_s: float) -> Page:
    """Return the page of a run in whatever state it is; `report_s` is what the report took so far."""
    plan, evaluation = loaded.plan, loaded.evaluation
    anchors = anchors_of(plan.compared)
    share, notes = share_of(len(facts)), image_notes(loaded)
    points = points_of(loaded, facts)
    margin = loaded.judgement.margin if loaded.judgement else plan.matrix.gate.margin
    texts = [loaded.prompt_texts[prompt] for prompt, _ in shown_keys(loaded, share.sheet)]
    table = table_of(facts, anchors)
    ranked = {row.id: rank for rank, row in enumerate(table.rows)}
    sections = [section_of(loaded, cell, anchors[cell.id], share, notes.get(cell.id, {})) for cell in facts]
    images = len(plan.prompts) * len(plan.matrix.seeds)
    extra: dict[str, Any] = {
        "missing": tuple(Named(name=name, value=why) for name, why in evaluation.missing.items()) if evaluation else (),
        "packages": tuple(Named(name=name, value=version) for name, version in sorted(plan.machine.packages.items())),
        "pictures_note": f"{min(share.pairs, images)} of {plural(images, 'image')} shown, spread over the prompts",
    }
    return Page(
        title=plan.matrix.name, about=plan.matrix.about, run_id=plan.run_id, answer=answer_of(loaded, facts),
        terms=terms_of(loaded), notes=tuple(note.rstrip(".") for note in plan.notes),
        margin=round_share(margin), points=points, not_drawn=not_drawn(facts, points), forest=forest_of(loaded, facts),
        table=table, sheet_prompts=tuple(texts), sheet=_sheet(loaded, facts, anchors, share),
        cells=tuple(sorted(sections, key=lambda section: ranked[section.id])), definitions=_definitions(loaded),
        control_names=control_names(loaded), controls=control_rows(loaded), machine=_machine(loaded),
        matrix_text=loaded.matrix_text,
        ledger=ledger_of(loaded, report_s), glossary=TERMS,
        standings=tuple((name, word) for name, word, _ in table.standings), anchors=anchors, **extra,
    )  # fmt: skip
