"""Make the plan of a run: every cell, the baseline, and the two extra baseline runs that calibrate losses."""

import hashlib
from collections.abc import Sequence
from datetime import datetime, timezone

from harness.axes import read_entry
from harness.core.axis import Cell, Setting
from harness.core.base import Frozen
from harness.core.errors import MachineError, MatrixError
from harness.core.machine import Machine
from harness.core.matrix import Entry, Matrix, Model
from harness.core.model import Footprint, HubFile, ModelInfo, PublishedFile
from harness.core.outcome import Caution
from harness.core.plan import OTHER_SEED_ID, RERUN_ID, Latent, Plan, PlannedCell, Prompt, Rate, Role
from harness.core.policy import Policy
from harness.core.units import format_bytes
from harness.planning.availability import (
    caution_negatives,
    find_cautions,
    footprint,
    list_cell_files,
    list_downloads,
    memory_shortage,
    refuse_latent,
    refuse_missing_files,
    skip_reason,
    start_notes,
)
from harness.planning.estimate import EstimateInputs, estimate_seconds
from harness.planning.resolve import Wish, fingerprints, live_values, resolve_cell

BASELINE: dict[str, Entry] = {"steps": 50, "precision": "auto", "compiler": "eager"}
"""The baseline where the matrix says nothing else: 50 steps, FP16 (FP32 without native FP16), eager."""


class PlanContext(Frozen):
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


def list_missing_files(matrix: Matrix, wishes: Sequence[Wish], around: PlanContext) -> tuple[HubFile, ...]:
    """Return the published files that are not here and without which cells that could run cannot."""
    cells = (resolve_cell(wish, around.model, around.machine) for wish in (baseline_wish(matrix), *wishes))
    wanted = ((cell, list_cell_files(cell, around.model)) for cell in cells)
    return tuple(dict.fromkeys(file for cell, files in wanted if files and not _misfit(cell, around) for file in files))


def make_plan(matrix: Matrix, matrix_text: str, wishes: Sequence[Wish], around: PlanContext) -> Plan:
    """Return the plan of one run; no model is loaded.

    Raises MatrixError if two wishes are one cell or quality.max is more than there are prompts, and MachineError if
    the baseline cannot run here.
    """
    around = around.model_copy(update={"prompts": _pool(matrix, around)})
    cells = [resolve_cell(wish, around.model, around.machine) for wish in wishes]
    _refuse_doubles(cells)
    notes: list[str] = []
    baseline = resolve_cell(baseline_wish(matrix), around.model, around.machine)
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
    matrix: Matrix, matrix_text: str, roles: list[tuple[Cell, Role]], around: PlanContext, notes: tuple[str, ...]
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
    inputs = EstimateInputs(matrix, around.model, around.rate, roles[0][0])
    for order, (cell, role) in enumerate(roles):
        files = fingerprints(cell, around.model)
        bare = PlannedCell(cell=cell, role=role, order=order, files=files, estimate_s=0.0, content_key="")
        images = len(draft.get_prompts(bare)) * len(matrix.seeds)
        reason = _reason(cell, around)
        estimate = 0.0 if reason else estimate_seconds(bare, images, inputs)
        key = _content_key(draft, bare)
        cautions = () if reason else _cautions(cell, around)
        downloads = () if reason else list_downloads(cell, around.model, around.published)
        needs = None if reason else _needs(cell, around)
        decided = {"skip": reason, "estimate_s": estimate, "content_key": key}
        update = {**decided, "cautions": cautions, "downloads": downloads, "needs": needs}
        planned.append(bare.model_copy(update=update))
    return draft.model_copy(update={"cells": tuple(planned)})


def _reason(cell: Cell, around: PlanContext) -> str | None:
    """Return why a cell cannot run here, or None if it can, perhaps after a download."""
    return _misfit(cell, around) or refuse_missing_files(cell, around.model, around.published)


def _misfit(cell: Cell, around: PlanContext) -> str | None:
    """Return why a cell cannot run here even with all files it reads: nobody should fetch them in vain."""
    return (
        skip_reason(cell, around.model, around.machine)
        or refuse_latent(around.latent, cell, around.model)
        or memory_shortage(cell, around.model, around.machine, around.free_bytes)
    )


def _cautions(cell: Cell, around: PlanContext) -> tuple[Caution, ...]:
    found = find_cautions(cell, around.model, around.machine)
    return (*found, *caution_negatives(around.prompts, cell, around.model))


def _needs(cell: Cell, around: PlanContext) -> Footprint | None:
    """Return what memory a cell surely needs, None where nothing is known of the model's size."""
    return footprint(cell, around.model, around.machine) if around.model.parameters else None


def _pool(matrix: Matrix, around: PlanContext) -> tuple[Prompt, ...]:
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
    prompts = [(prompt.id, prompt.text, prompt.negative) for prompt in plan.get_prompts(planned)]
    start = plan.get_latent(planned)
    images = (prompts, plan.get_seeds(planned), start and start.sha256)
    again = planned.role == "rerun"  # images that must differ only by chance are generated again, not linked
    parts = (plan.model.digest, planned.cell.by_axis, planned.files, images, plan.machine.facts, again)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def loading_order(baseline: Cell, cells: Sequence[Cell], model: ModelInfo) -> list[Cell]:
    """Return cells in the order in which they are measured, after the baseline.

    Every cell is loaded by a process of its own, so a large model is read once per cell: from the disk the first time,
    from the page cache afterwards, as long as nothing else pushed it out. So, from the outside in:

    1. cells that read the same files besides the model's own (weights of a distilled denoiser, a LoRA) stand together,
       those of the baseline first;
    2. among them, cells that build the same pipeline (precision, compiler, caching), so that compiled code and engines
       are found again while they are still in the page cache;
    3. else as the matrix names them.

    The number format is no level of its own: fp16 and fp32 cells read the same files.
    """
    everyone = (baseline, *cells)
    files = [_files(cell, model) for cell in everyone]
    builds = [cell.build_key for cell in everyone]
    place = {
        cell.id: (files.index(own), builds.index(cell.build_key)) for cell, own in zip(everyone, files, strict=True)
    }
    return sorted(cells, key=lambda cell: place[cell.id])


def _files(cell: Cell, model: ModelInfo) -> tuple[str, ...]:
    return tuple(found for value in live_values(cell).values() if (found := value.fingerprint(model)))


def pinned(model: Model, info: ModelInfo) -> Model:
    """Return the matrix's model with what it left open decided, so that all cells load the same commit."""
    return model.model_copy(update={"options": {**model.options, **info.pins}})


def model_notes(info: ModelInfo) -> list[str]:
    """Return what a plan says of its model: what it has to say itself, and what is fetched before the first cell."""
    if info.download is None:
        return list(info.notes)
    files, missing = info.download.files, len(info.download.missing)
    if not missing:
        size = format_bytes(info.download.size_bytes)
        return [*info.notes, f"model files: {files}, {size}, all in the cache"]
    here = f"{files - missing} of {files} are in the cache" if missing < files else "none is in the cache"
    size = format_bytes(info.download.missing_bytes)
    return [*info.notes, f"download before the first cell: {missing} files, {size} ({here})"]
