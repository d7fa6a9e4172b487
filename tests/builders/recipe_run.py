"""Standalone files of cells on tiny models: written from a plan, and run with harness blocked from import."""

import builtins
from pathlib import Path
from typing import Any

from harness.core.matrix import Matrix
from harness.core.outcome import Applied
from harness.core.plan import Plan, PlannedCell
from harness.deployment.recipe_file import write_recipe
from harness.deployment.recipe_parts import collect_parts, list_copies
from harness.execution.build import read_recipe
from harness.models import resolve_model
from harness.results import CellResult, Run
from tests.builders.cell_on_model import PROMPTS, Planned
from tests.builders.judged_run import COMPLETED


def deployable(planned: Planned, applied: tuple[Applied, ...] = ()) -> CellResult:
    """Return a measured cell of a run on a tiny model."""
    info, cell = resolve_model(planned.model).describe(), planned.cell
    values = read_recipe(cell)
    files = {s.axis: v.fingerprint(info) for s, v in zip(values.settings, values.values, strict=True)}
    row = PlannedCell(cell=cell, role="baseline", order=0, files=files, estimate_s=1, content_key="c")
    plan = Plan(
        run_id="r", matrix=Matrix(name="m", axes={}, model=planned.model), matrix_sha256="", model=info,
        machine=planned.machine, prompts=PROMPTS, baseline_id=cell.id, cells=(row,),
    )  # fmt: skip
    return Run(Path("r"), plan, {cell.id: COMPLETED.model_copy(update={"applied": applied})}).cell(cell.id)


def write_file(cell: CellResult, target: Path, server: bool = False) -> str:
    """Write the standalone file of a cell, and the folders next to it; return its text."""
    parts = collect_parts(cell)
    target.write_text(text := write_recipe(cell, parts, target, server), encoding="utf-8")
    for source, place in list_copies(parts, target).items():
        place.parent.mkdir(exist_ok=True)
        place.symlink_to(source)
    return text


def execute(text: str, path: Path) -> dict[str, Any]:
    """Run a file's definitions in a fresh namespace in which harness cannot be imported."""

    def import_others(name: str, *rest: Any) -> Any:
        if name.partition(".")[0] in ("harness", "tests"):
            raise ImportError(f"{name} is blocked")
        return builtins.__import__(name, *rest)

    allowed = {**vars(builtins), "__import__": import_others}
    namespace: dict[str, Any] = {"__name__": "recipe", "__file__": str(path), "__builtins__": allowed}
    exec(compile(text, str(path), "exec"), namespace)
    return namespace


def draw_images(namespace: dict[str, Any]) -> Any:
    """Return the images of the contract tests' prompts, as a standalone file makes them."""
    seeds = [namespace["run_seed"](prompt.id, 0) for prompt in PROMPTS]
    return namespace["generate"](namespace["build"](), [prompt.text for prompt in PROMPTS], seeds)
