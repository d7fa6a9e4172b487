"""Make the plan of a run: every wished cell, the baseline, and the two extra baseline runs that calibrate losses."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone

from harness.axes import read_entry
from harness.core.axis import Setting
from harness.core.base import Frozen
from harness.core.cell import Cell
from harness.core.errors import MachineError, MatrixError
from harness.core.footprint import Footprint
from harness.core.machine import Machine
from harness.core.matrix import Entry, Matrix
from harness.core.model import ModelInfo
from harness.core.outcome import Caution
from harness.core.plan import OTHER_SEED_ID, RERUN_ID, Latent, Plan, PlannedCell, Prompt, Rate, Role
from harness.core.policy import Policy
from harness.core.published import HubFile, PublishedFile
from harness.planning.availability import find_cautions, skip_reason
from harness.planning.estimate import Pace, estimate_seconds
from harness.planning.fit import footprint, misfit
from harness.planning.lacking import downloads_of, files_of, refuse_lacking
from harness.planning.order import loading_order
from harness.planning.origin import model_notes, pinned
from harness.planning.prompted import caution_negatives, refuse_latent, start_notes
from harness.planning.settle import Wish, fingerprints, settle

BASELINE: dict[str, Entry] = {"steps": 50, "precision": "auto", "compiler": "eager"}
"""The baseline where the matrix says nothing else: 50 steps, FP16 (FP32 without native FP16), eager."""


class Surroundings(Frozen):
    """What a plan depends on besides the matrix: model, machine, prompts, earlier rates, the policy."""

    model: ModelInfo
    machine: Machine
    prompts: tuple[Prompt, ...]
    latent: Latent | None = None
    rate: Rate
    policy: Policy = Policy()
    free_bytes: int | None = None
    """Memory that is free on the device that cells run on; None: not known, so whether a cell fits is not asked."""
    published: dict[HubFile, PublishedFile | str] = {}
    """What the Hub has of the files that cells lack, or why they cannot be had."""


def lacking_files(matrix: Matrix, wishes: Sequence[Wish], around: Surroundings) -> tuple[HubFile, ...]:
    """Return the published files that are not here and without which cells that could run cannot."""
    cells = (settle(wish, around.model, around.machine) for wish in (baseline_wish(matrix), *wishes))
    wanted = ((cell, files_of(cell, around.model)) for cell in cells)
    return tuple(dict.fromkeys(file for cell, files in wanted if files and not _misfit(cell, around) for file in files))


def make_plan(matrix: Matrix, matrix_text: str, wishes: Sequence[Wish], around: Surroundings) -> Plan:
    """Return the plan of one run; no model is loaded.

    Raises MatrixError if two wishes are one cell or quality.max is more than there are prompts, and MachineError if
    the baseline cannot run here.
    """
    around = around.model_copy(update={"prompts": _pool(matrix, around)})
    cells = [settle(wish, around.model, around.machine) for wish in wishes]
    _refuse_doubles(cells)
    notes: list[str] = []
    baseline = settle(baseline_wish(matrix), around.model, around.machine)
    if baseline.id not in {cell.id for cell in cells}:
        notes.append(f"baseline {baseline.id} is not in the matrix: it was added, since everything is compared with it")
    if not around.machine.native_fp16 and baseline_wish(matrix)["precision"].name == "auto":
        notes.append("baseline precision is fp32: this machine has no native fp16")
    reason = _reason(baseline, around)
    if reason is not None:
        fix = "Choose another baseline in [baseline], or run on a machine that can."
        raise MachineError(f"the baseline {baseline.id} cannot run here: {reason}", "baseline", fix)
    others = [cell for cell in cells if cell.id != baseline.id]
    roles: list[tuple[Cell, Role]] = [(baseline, "baseline")]
    if around.model.quality_applies:
        roles += [(_renamed(baseline, RERUN_ID), "rerun"), (_renamed(baseline, OTHER_SEED_ID), "other-seed")]
    roles += [(cell, "candidate") for cell in loading_order(baseline, others, around.model)]
    notes += model_notes(around.model)
    notes += start_notes(around.latent)
    notes.append(f"estimate: {around.rate.source}")
    matrix = matrix.model_copy(update={"model": pinned(matrix.model, around.model)})
    return _assemble(matrix, matrix_text, roles, around, tuple(notes))


def _assemble(
    matrix: Matrix, matrix_text: str, roles: list[tuple[Cell, Role]], around: Surroundings, notes: tuple[str, ...]
) -> Plan:
    sha256 = hashlib.sha256(matrix_text.encode()).hexdigest()
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    draft = Plan(
        run_id=f"{stamp}_{matrix.name}_{around.machine.name}",
        matrix=matrix,
        matrix_sha256=sha256,
        model=around.model,
        machine=around.machine,
        prompts=around.prompts,
        latent=around.latent,
        policy=around.policy,
        baseline_id=roles[0][0].id,
        cells=(),
        notes=notes,
    )
    planned = []
    pace = Pace(matrix, around.model, around.rate, roles[0][0])
    for order, (cell, role) in enumerate(roles):
        files = fingerprints(cell, around.model)
        bare = PlannedCell(cell=cell, role=role, order=order, files=files, estimate_s=0.0, content_key="")
        images = len(draft.prompts_of(bare)) * len(matrix.seeds)
        reason = _reason(cell, around)
        estimate = 0.0 if reason else estimate_seconds(bare, images, pace)
        key = _content_key(draft, bare)
        cautions = () if reason else _cautions(cell, around)
        downloads = () if reason else downloads_of(cell, around.model, around.published)
        needs = None if reason else _needs(cell, around)
        decided = {"skip": reason, "estimate_s": estimate, "content_key": key}
        update = {**decided, "cautions": cautions, "downloads": downloads, "needs": needs}
        planned.append(bare.model_copy(update=update))
    return draft.model_copy(update={"cells": tuple(planned)})


def _reason(cell: Cell, around: Surroundings) -> str | None:
    """Return why a cell cannot run here, or None if it can, perhaps after a download."""
    return _misfit(cell, around) or refuse_lacking(cell, around.model, around.published)


def _misfit(cell: Cell, around: Surroundings) -> str | None:
    """Return why a cell cannot run here even with all files it reads: nobody should fetch them in vain."""
    return (
        skip_reason(cell, around.model, around.machine)
        or refuse_latent(around.latent, cell, around.model)
        or misfit(cell, around.model, around.machine, around.free_bytes)
    )


def _cautions(cell: Cell, around: Surroundings) -> tuple[Caution, ...]:
    found = find_cautions(cell, around.model, around.machine)
    return (*found, *caution_negatives(around.prompts, cell, around.model))


def _needs(cell: Cell, around: Surroundings) -> Footprint | None:
    """Return what memory a cell surely needs, None where nothing is known of the model's size."""
    return footprint(cell, around.model, around.machine) if around.model.parameters else None


def _pool(matrix: Matrix, around: Surroundings) -> tuple[Prompt, ...]:
    """Return the prompts a cell may have at most: one where pictures mean nothing, to see that they can be made."""
    prompts = around.prompts
    if matrix.quality.max > len(prompts):
        fix = "Lower it, raise prompts.limit, or leave it out to use them all"
        raise MatrixError([f"quality.max: {matrix.quality.max} is more than the {len(prompts)} prompts. {fix}"])
    return prompts[: (matrix.quality.max or None) if around.model.quality_applies else 1]


def baseline_wish(matrix: Matrix) -> dict[str, Setting]:
    """Return the settings of a matrix's baseline."""
    entries = {**BASELINE, **matrix.baseline}
    return {axis: read_entry(axis, entry) for axis, entry in entries.items()}


def _refuse_doubles(cells: Sequence[Cell]) -> None:
    seen: set[str] = set()
    problems = []
    for cell in cells:
        if cell.id in seen:
            problems.append(f"two cells are the same: {cell.id}. Remove one, in axes, exclude or include")
        seen.add(cell.id)
    if problems:
        raise MatrixError(sorted(set(problems)))


def _renamed(cell: Cell, cell_id: str) -> Cell:
    return cell.model_copy(update={"id": cell_id})


def _content_key(plan: Plan, planned: PlannedCell) -> str:
    """Hash of all that determines the images of a cell, so that an equal one need not be made again."""
    prompts = [(prompt.id, prompt.text, prompt.negative) for prompt in plan.prompts_of(planned)]
    start = plan.latent_of(planned)
    images = (prompts, plan.seeds_of(planned), start and start.sha256)
    parts = (plan.model.digest, planned.cell.by_axis, planned.files, images, plan.machine.facts, planned.role)
    return hashlib.sha256(repr(parts).encode()).hexdigest()
