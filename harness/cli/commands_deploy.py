"""Commands that lead from a verdict to a deployment: recommend, recipe."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app, leave
from harness.cli.arguments import CellName, Json, Results, RunName

Latency = Annotated[
    str | None, typer.Option("--latency", help="Most seconds of a call, such as 500ms.")
]
MemoryLimit = Annotated[str | None, typer.Option("--memory", help="Most memory, such as 16GiB.")]
Rate = Annotated[float | None, typer.Option("--rps", help="Least images per second of one device.")]
QualityPolicy = Annotated[
    str | None, typer.Option("--quality", help="Judge by this policy: a name or a .toml file.")
]
Cheapest = Annotated[bool, typer.Option("--cost", help="Rank by cost; the matrix needs [prices].")]
RecipeFile = Annotated[
    Path | None, typer.Option("--out", help="The Python file to write; default: CELL.py.")
]
Server = Annotated[bool, typer.Option("--server", help="Add a FastAPI app that fills batches.")]


@app.command()
def recommend(
    run: RunName,
    latency: Latency = None,
    memory: MemoryLimit = None,
    rps: Rate = None,
    quality: QualityPolicy = None,
    cost: Cheapest = False,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Recommend a measured cell, by situation and under limits.

    Only cells with the verdict pass, and the baseline, are recommended. Exit code 3: none of them
    meets the limits; the nearest one is shown.
    """
    from harness import api
    from harness.cli import console
    from harness.cli.deployment_view import recommendation_parts
    from harness.core.errors import ExitCode
    from harness.deploying import recommend as recommend_cell
    from harness.deployment import parse_constraints

    constraints = parse_constraints(latency, memory, rps, quality, cost)
    found = recommend_cell(api.find(run, results), constraints)
    if json:
        console.show_json(found.model_dump(mode="json"))
    else:
        console.show_parts(recommendation_parts(found))
    leave(ExitCode.PASS if found.is_met else ExitCode.NOTHING_TO_DO)


@app.command()
def recipe(
    run: RunName,
    cell: CellName = "baseline",
    out: RecipeFile = None,
    server: Server = False,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Write a standalone Python file that builds a cell.

    It loads the model and applies the cell's settings with diffusers and torch; its header has the
    verdict and the versions. A cell with settings that only harness can apply is refused.
    """
    from harness import api
    from harness.cli import console
    from harness.deploying import recipe as write_recipe

    written = write_recipe(api.find(run, results), cell, out, server)
    console.warn(written.caution)
    if json:
        folders = list(map(str, written.folders))
        return console.show_json({"file": str(written.file), "folders": folders})
    for path in (written.file, *written.folders):
        console.show_path(path)
