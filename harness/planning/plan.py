"""Make the plan of a run: all cells, the baseline, two more baseline runs for calibration."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timezone

from harness.axes import read_entry
from harness.core.axis import Cell, Setting
from harness.core.base import Frozen
from harness.core.errors import MachineError, MatrixError
from harness.core.machine import Machine
from harness.core.matrix import Entry, Matrix, Model
from harness.core.model import HubFile, ModelInfo, PublishedFile
from harness.core.plan import OTHER_SEED_ID, RERUN_ID, Latent, Plan, PlannedCell, Prompt, Rate, Role
from harness.core.policy import Policy
from harness.core.units import format_bytes
from harness.planning import availability
from harness.planning.estimate import EstimateInputs, estimate_seconds
from harness.planning.resolve import Wish, hash_read_files, resolve_cell

BASELINE: dict[str, Entry] = {"steps": 50, "precision": "auto", "compiler": "eager"}
"""The default baseline: 50 steps, FP16 (FP32 without native FP16), eager."""


class PlanContext(Frozen):
    """What a plan depends on besides the matrix."""

    model: ModelInfo
    machine: Machine
    prompts: tuple[Prompt, ...]
    latent: Latent | None = None
    rate: Rate
    policy: Policy = Policy()
    free_bytes: int | None = None
    """Free memory of the device; None: unknown, so that the memory check is skipped."""
    published: dict[HubFile, PublishedFile | str] = {}
    """What the Hub has of missing files, or why they cannot be fetched."""


def list_missing_files(
    matrix: Matrix, wishes: Sequence[Wish], around: PlanContext
) -> tuple[HubFile, ...]:
    """Return the missing published files of all cells that could run with them."""
    found: dict[HubFile, None] = {}
    for wish in (read_baseline(matrix), *wishes):
        cell = resolve_cell(wish, around.model, around.machine)
        files = availability.list_cell_files(cell, around.model)
        if files and not _misfit(cell, around):
            found |= dict.fromkeys(files)
    return tuple(found)


def make_plan(
    matrix: Matrix, matrix_text: str, wishes: Sequence[Wish], around: PlanContext
) -> Plan:
    """Return the plan of a run, without loading the model.

    Raises MatrixError for a duplicate cell or a quality.max above the number of prompts, and
    MachineError if the baseline cannot run here.
    """
    around = around.model_copy(update={"prompts": _pool(matrix, around)})
    cells = [resolve_cell(wish, around.model, around.machine) for wish in wishes]
    _refuse_doubles(cells)
    notes: list[str] = []
    baseline = resolve_cell(read_baseline(matrix), around.model, around.machine)
    if baseline.id not in {cell.id for cell in cells}:
        why = "since all cells are compared with it"
        notes.append(f"baseline {baseline.id} is not in the matrix: it was added, {why}")
    if not around.machine.native_fp16 and read_baseline(matrix)["precision"].name == "auto":
        notes.append("baseline precision is fp32: this machine has no native fp16")
    reason = _reason(baseline, around)
    if reason is not None:
        fix = "Choose another baseline in [baseline], or run on another machine."
        raise MachineError(f"the baseline {baseline.id} cannot run here: {reason}", "baseline", fix)
    others = [cell for cell in cells if cell.id != baseline.id]
    roles: list[tuple[Cell, Role]] = [(baseline, "baseline")]
    extra: list[tuple[str, Role]] = [(RERUN_ID, "rerun")]  # of random weights too: its times count
    if around.model.quality_applies:
        extra.append((OTHER_SEED_ID, "other-seed"))
    roles += [(baseline.model_copy(update={"id": name}), role) for name, role in extra]
    roles += [(cell, "candidate") for cell in order_cells(baseline, others, around.model)]
    notes += list_model_notes(around.model)
    notes += availability.list_latent_notes(around.latent)
    notes.append(f"estimate: {around.rate.source}")
    matrix = matrix.model_copy(update={"model": pin_model(matrix.model, around.model)})
    return _assemble(matrix, matrix_text, roles, around, tuple(notes))


def _assemble(
    matrix: Matrix,
    matrix_text: str,
    roles: list[tuple[Cell, Role]],
    around: PlanContext,
    notes: tuple[str, ...],
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
    inputs = EstimateInputs(matrix, around.model, around.rate, roles[0][0])
    planned = []
    for order, (cell, role) in enumerate(roles):
        files = hash_read_files(cell, around.model)
        bare = PlannedCell(
            cell=cell, role=role, order=order, files=files, estimate_s=0.0, content_key=""
        )
        update: dict[str, object] = {"content_key": _content_key(draft, bare)}
        update["skip"] = _reason(cell, around)
        if update["skip"] is None:
            update |= _decide(draft, bare, around, inputs)
        planned.append(bare.model_copy(update=update))
    return draft.model_copy(update={"cells": tuple(planned)})


def _decide(
    plan: Plan, planned: PlannedCell, around: PlanContext, inputs: EstimateInputs
) -> dict[str, object]:
    """Return the fields of a planned cell that can run."""
    cell, model = planned.cell, around.model
    images = len(plan.get_prompts(planned)) * len(plan.matrix.seeds)
    cautions = availability.find_cautions(cell, model, around.machine)
    needs = None
    if model.parameters:
        needs = availability.estimate_footprint(cell, model, around.machine)
    return {
        "estimate_s": estimate_seconds(planned, images, inputs),
        "cautions": (*cautions, *availability.warn_of_negatives(around.prompts, cell, model)),
        "downloads": availability.list_downloads(cell, model, around.published),
        "needs": needs,
    }


def _reason(cell: Cell, around: PlanContext) -> str | None:
    """Return why a cell cannot run here, even after downloads, or None."""
    misfit = _misfit(cell, around)
    if misfit is not None:
        return misfit
    return availability.refuse_missing_files(cell, around.model, around.published)


def _misfit(cell: Cell, around: PlanContext) -> str | None:
    """Return why a cell cannot run here even with all its files, or None."""
    return (
        availability.find_skip_reason(cell, around.model, around.machine)
        or availability.refuse_latent(around.latent, cell, around.model)
        or availability.find_memory_shortage(cell, around.model, around.machine, around.free_bytes)
    )


def _pool(matrix: Matrix, around: PlanContext) -> tuple[Prompt, ...]:
    """Return the most prompts of a cell; one if quality does not apply, to generate any image."""
    prompts = around.prompts
    if matrix.quality.max > len(prompts):
        what = f"quality.max: {matrix.quality.max} is more than the {len(prompts)} prompts"
        fix = "Lower it, raise prompts.limit, or leave it out to use them all"
        raise MatrixError([f"{what}. {fix}"])
    return prompts[: (matrix.quality.max or None) if around.model.quality_applies else 1]


def read_baseline(matrix: Matrix) -> dict[str, Setting]:
    """Return the settings of a matrix's baseline."""
    entries = {**BASELINE, **matrix.baseline}
    return {axis: read_entry(axis, entry) for axis, entry in entries.items()}


def _refuse_doubles(cells: Sequence[Cell]) -> None:
    doubles = sorted(i for i, count in Counter(cell.id for cell in cells).items() if count > 1)
    fix = "Remove one, in axes, exclude or include"
    if doubles:
        raise MatrixError([f"two cells are the same: {double}. {fix}" for double in doubles])


def _content_key(plan: Plan, planned: PlannedCell) -> str:
    """Return a hash of everything that determines a cell's images, to reuse equal ones."""
    prompts = [(prompt.id, prompt.text, prompt.negative) for prompt in plan.get_prompts(planned)]
    start = plan.get_latent(planned)
    images = (prompts, plan.get_seeds(planned), start and start.sha256)
    again = planned.role == "rerun"  # may differ by chance only: generated again, not linked
    parts = (plan.model.digest, planned.cell.by_axis, planned.files, images, plan.machine.facts)
    return hashlib.sha256(repr((*parts, again)).encode()).hexdigest()


def order_cells(baseline: Cell, cells: Sequence[Cell], model: ModelInfo) -> list[Cell]:
    """Return cells in the order of measurement, after the baseline.

    Every cell's process loads the model again: from the page cache, unless other files replaced it.
    So cells are grouped by, in this order:

    1. the files they read besides the model's own, such as a LoRA, the baseline's first;
    2. the pipeline they build, to find compiled code and engines in the page cache;
    3. the order of the matrix.

    fp16 and fp32 cells read the same files, so precision is not among them.
    """
    everyone = (baseline, *cells)
    files = [_files(cell, model) for cell in everyone]
    builds = [cell.build_key for cell in everyone]
    place = {
        cell.id: (files.index(own), builds.index(cell.build_key))
        for cell, own in zip(everyone, files, strict=True)
    }
    return sorted(cells, key=lambda cell: place[cell.id])


def _files(cell: Cell, model: ModelInfo) -> tuple[str, ...]:
    return tuple(hash_read_files(cell, model).values())


def pin_model(model: Model, info: ModelInfo) -> Model:
    """Return the matrix's model with open options resolved: all cells load the same commit."""
    return model.model_copy(update={"options": {**model.options, **info.pins}})


def list_model_notes(info: ModelInfo) -> list[str]:
    """Return the plan's notes about its model and downloads before the first cell."""
    if info.download is None:
        return list(info.notes)
    files, missing = info.download.files, len(info.download.missing)
    if not missing:
        size = format_bytes(info.download.size_bytes)
        return [*info.notes, f"model files: {files}, {size}, all in the cache"]
    cached = f"{files - missing} of {files} are" if missing < files else "none is"
    size = format_bytes(info.download.missing_bytes)
    return [
        *info.notes,
        f"download before the first cell: {missing} files, {size} ({cached} in the cache)",
    ]
