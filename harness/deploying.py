"""Deploy a run: recommend one of its cells, and write one as a standalone file."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import MachineError, UsageError
from harness.core.parsing import expand_user
from harness.deployment import Constraints, Recommendation
from harness.deployment import recommend as recommend_cell
from harness.deployment.recipe_file import SIGNATURE, write_recipe
from harness.deployment.recipe_parts import collect_parts, find_deployable, list_copies
from harness.gating import judge_run
from harness.matrix import load_policy
from harness.results import Run
from harness.store.write import write_atomically


def recommend(run: Path, constraints: Constraints) -> Recommendation:
    """Return which measured cell to deploy under constraints, and the decision table of the run.

    A policy among the constraints judges the run again, without storing the verdicts. Raises
    ResultsError if the run was not judged.
    """
    judged = Run.load(run)
    if constraints.policy and judged.evaluation:
        judgement = judge_run(judged, load_policy(constraints.policy))
        judged = replace(judged, judgement=judgement)
    return recommend_cell(judged, constraints)


class WrittenRecipe(NamedTuple):
    """The file of a cell, the folders next to it, and why the cell may not ship, if so."""

    file: Path
    folders: tuple[Path, ...]
    caution: str


def recipe(run: Path, cell_id: str, out: Path | None = None, server: bool = False) -> WrittenRecipe:
    """Write a standalone Python file that builds a cell, and copy what it needs next to it.

    `server` adds a FastAPI app. Raises UsageError if the cell cannot be written without harness,
    or if the file exists and is not a recipe; ResultsError if the model's files were changed.
    """
    cell = find_deployable(Run.load(run), cell_id)
    target = expand_user(out) if out else Path(f"{cell.id}.py")
    _check_target(target)
    parts = collect_parts(cell)
    text = write_recipe(cell, parts, target, server)
    copies = list_copies(parts, target)
    try:
        for source, place in copies.items():
            shutil.copytree(source, place, dirs_exist_ok=True)
    except OSError as error:
        raise MachineError(f"cannot copy the model: {error}", str(target.parent)) from error
    write_atomically(target, text.encode(), "--out")
    ships = cell.standing in ("pass", "baseline")
    caution = "" if ships else f"{cell.id} may not ship: {cell.standing}, {cell.reason}"
    return WrittenRecipe(target, tuple(copies.values()), caution)


def _check_target(target: Path) -> None:
    if target.is_dir():
        raise UsageError("this is a folder", str(target), "Name a file: --out recipe.py")
    if target.exists() and SIGNATURE not in target.read_text("utf-8", "replace"):
        fix = "Name another: --out recipe.py"
        raise UsageError("this file exists and is not a recipe", str(target), fix)
