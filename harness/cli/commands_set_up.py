"""Commands that set up a project: init, axes, policies, weights, doctor, schema."""

from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app, leave
from harness.cli.arguments import AxisNames, Download, Json, WeightUsers


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="A shipped matrix. Default: list them.")] = "",
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="Where to write it; default: NAME.toml.")
    ] = None,
) -> None:
    """Copy a shipped matrix, or list them."""
    from harness import api
    from harness.cli import console

    if name:
        return console.show_path(api.write_matrix(name, file))
    matrices = api.list_matrices()
    width = max(map(len, matrices))
    console.show_text("".join(f"{name:<{width}}  {about}\n" for name, about in matrices.items()))


@app.command()
def axes(names: AxisNames = None, json: Json = False) -> None:
    """List every axis value, and whether it runs on this machine."""
    from harness import api
    from harness.cli import console

    console.show_axes(api.list_axes(tuple(names or ())), json, whole=bool(names))


@app.command()
def policies(
    name: Annotated[str, typer.Argument(help="Print this policy's file.")] = "", json: Json = False
) -> None:
    """List the shipped policies with their rules, or print one."""
    from harness import api
    from harness.cli import console

    if name:
        console.show_text(api.show_policy(name))
    else:
        console.show_policies(api.list_policies(), json)


@app.command()
def weights(names: WeightUsers = None, download: Download = False, json: Json = False) -> None:
    """List the weight files of metrics, and how to get missing ones.

    Exit code 4: a file is wrong, or a requested one is missing.
    """
    from harness import api
    from harness.cli import console

    asked = tuple(names or ())
    with console.download_progress() as advance:
        rows = api.weights(asked, download=download, advance=advance)
    leave(console.show_weights(rows, json, asked=bool(asked)))


@app.command()
def doctor(json: Json = False) -> None:
    """Describe this machine and the conditions it can measure."""
    from harness.cli import console
    from harness.measure.machine import describe_machine, list_abilities

    console.show_machine(describe_machine(), list_abilities(), json)


@app.command()
def schema() -> None:
    """Print the JSON Schema of matrix files."""
    from harness.cli import console
    from harness.matrix import json_schema

    console.show_text(json_schema())
