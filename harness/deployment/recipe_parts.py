"""The parts of a cell's standalone file: what its model and its values contribute."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.axes import collect_call_options, load_axes, resolve_setting
from harness.core.axis import AxisValue, Setting
from harness.core.catalog import did_you_mean
from harness.core.errors import NothingToDo, ResultsError, UsageError
from harness.core.model import ModelInfo
from harness.core.outcome import Figures
from harness.core.recipe import (
    FamilyLines,
    ModelLines,
    NoRecipe,
    RecipeContext,
    RecipeLines,
)
from harness.models import resolve_model
from harness.results import CellResult, Run

MODEL_FOLDER = "pipeline"


class RecipeParts(NamedTuple):
    """A cell's family and model lines, and those of each value in the order of application."""

    family: FamilyLines
    model: ModelLines
    values: tuple[tuple[Setting, RecipeLines], ...]
    context: RecipeContext


def find_deployable(run: Run, cell_id: str) -> CellResult:
    """Return a completed cell by its id, or the baseline.

    Raises UsageError for an unknown one, NothingToDo if it did not complete.
    """
    wanted = run.plan.baseline_id if cell_id == "baseline" else cell_id
    known = [cell.id for cell in run.cells]
    if wanted not in known:
        hint = did_you_mean(cell_id, [*known, "baseline"])
        raise UsageError(f'no cell "{cell_id}" in this run. {hint}', run.folder.name)
    cell = run.cell(wanted)
    if cell.samples is None:
        fix = f"Run: harness run {run.folder.name}"
        raise NothingToDo(f"{cell.id} has no result: {cell.absence.absent}", run.folder.name, fix)
    return cell


def collect_parts(cell: CellResult) -> RecipeParts:
    """Return what the file of a cell consists of.

    Raises UsageError if a value or the model cannot be written without harness, or if files that
    the cell was measured with are gone; ResultsError if they were changed.
    """
    plan = cell.run.plan
    source = resolve_model(
        plan.matrix.model.model_copy(
            update={"options": {**plan.matrix.model.options, **plan.model.pins}}
        )
    )
    info = source.describe()
    if info.digest != plan.model.digest:
        fix = "Write the recipe where the run was made, or restore the files."
        raise ResultsError("the files of the model are not those of the run", info.title, fix)
    lines = source.recipe()
    if isinstance(lines, NoRecipe):
        raise _refuse(cell.id, "model", lines)
    family, model = lines
    used = (MODEL_FOLDER, cell.planned.cell.setting("distillation").name)
    copied = {name: folder for name, folder in model.copied.items() if name in used}
    model = model.model_copy(update={"copied": copied})
    context = make_context(cell, info, family, model)
    _check_files(cell, info, context.values)
    return RecipeParts(family, model, tuple(_collect_values(cell, context)), context)


def make_context(
    cell: CellResult, info: ModelInfo, family: FamilyLines, model: ModelLines
) -> RecipeContext:
    """Return what values see while they write their lines."""
    plan, samples = cell.run.plan, cell.samples
    ordered = sorted(load_axes(), key=lambda axis: (axis.apply_order, axis.order))
    values = {a.name: resolve_setting(cell.planned.cell.setting(a.name)) for a in ordered}
    applied: dict[str, Figures] = {
        done.axis: done.figures for done in (samples.applied if samples else ())
    }
    seeds = plan.get_seeds(cell.planned)
    return RecipeContext(
        model=info,
        family=family,
        device=plan.machine.device,
        values=values,
        call=collect_call_options(values.values()),
        loras={name: f"HERE / {name!r}" for name in model.copied if name != MODEL_FOLDER},
        applied=applied,
        prompts=tuple((p.id, seed, p.text) for p in plan.prompts for seed in seeds),
    )


def _collect_values(cell: CellResult, context: RecipeContext) -> list[tuple[Setting, RecipeLines]]:
    found = []
    for axis, value in context.values.items():
        setting = cell.planned.cell.setting(axis)
        try:
            lines = value.recipe(context)
        except ValueError as error:  # files of weights that are gone
            raise UsageError(f"{axis} {setting}: {error}", cell.id) from error
        if isinstance(lines, NoRecipe):
            raise _refuse(cell.id, f"{axis} {setting}", lines)
        found.append((setting, lines))
    return found


def _check_files(cell: CellResult, info: ModelInfo, values: Mapping[str, AxisValue]) -> None:
    """Raise ResultsError where a file that a value reads is gone, or not that of the run."""
    for axis, value in values.items():
        expected = cell.planned.files.get(axis, "")
        if value.fingerprint(info) != expected:
            setting = cell.planned.cell.setting(axis)
            what = f"the files of {axis} {setting} are gone, or not those of the run"
            raise ResultsError(what, cell.id, "Restore them, or fetch them again.")


def _refuse(cell_id: str, what: str, why: NoRecipe) -> UsageError:
    fix = f"{why.hint[:1].upper()}{why.hint[1:]}." if why.hint else ""
    return UsageError(f"no standalone file: {what}: {why.reason}", cell_id, fix)


def list_copies(parts: RecipeParts, target: Path) -> dict[Path, Path]:
    """Return the folders to copy next to a file: source → target."""
    folder = target.with_suffix("").name + "-model"
    return {Path(s): target.with_name(folder) / name for name, s in parts.model.copied.items()}
