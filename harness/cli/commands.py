"""The `harness` command: each command parses its arguments, calls the api and passes the answer to
the console."""

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.arguments import (
    Against,
    AllCells,
    AxisNames,
    CellName,
    Download,
    Fresh,
    GroupedCommands,
    Inline,
    Json,
    Ledger,
    MatrixFile,
    ModelWord,
    Nsys,
    OtherRun,
    Out,
    Pilot,
    PolicyName,
    Results,
    Retry,
    RunName,
    Select,
    WeightUsers,
)
from harness.cli.streams import guard_streams
from harness.core.errors import UsageError

# Before torch is imported, because spinning threads slow each other down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

CTRL_C = 130
"""The status typer gives to Ctrl-C, as shells do."""

app = typer.Typer(
    cls=GroupedCommands,
    help="Measures what an optimization of an image-generation model buys, what it costs in "
    "quality, and whether it may ship.",
    epilog="Exit codes: 0 pass · 1 gate failed · 2 wrong usage or matrix · 3 nothing to do · "
    "4 machine not usable · 5 some cells failed · 6 inconclusive · 7 results unreadable.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    os.environ["HARNESS_DEBUG"] = "1" if debug else ""


@app.command()
def plan(
    matrix: MatrixFile,
    select: Select = None,
    model: ModelWord = None,
    results: Results = Path("results"),
    power: Pilot = None,
    json: Json = False,
) -> None:
    """Show every cell and an estimate; runs nothing.

    Cells are ready, or skipped with the reason. With --power: how many prompts decide each verdict
    with 90 % power, and which losses the plan can detect.
    """
    from harness import api
    from harness.cli import console

    decided = api.plan(api.load(matrix, model=model), select=tuple(select or ()), results=results)
    console.warn_of_weights(api.scoring_weights(decided), matrix)
    if power is None:
        console.show_plan(decided, json)
    else:
        console.show_power(api.power(decided, api.find(power, results)), json)


@app.command()
def run(
    matrix: MatrixFile,
    select: Select = None,
    model: ModelWord = None,
    results: Results = Path("results"),
    fresh: Fresh = False,
    retry_failed: Retry = False,
    inline: Inline = False,
    nsys: Nsys = False,
    json: Json = False,
) -> None:
    """Generate images, measure latencies; continues interrupted runs.

    MATRIX may also be a run; then its missing cells are measured.
    With quality.images = "auto" this is one round; gate then decides which cells need more images.
    """
    from harness import api
    from harness.cli import console
    from harness.cli.nsight import run_under_nsys
    from harness.finding import is_run

    if nsys:
        run_under_nsys(matrix, results)
    if is_run(matrix, results):
        if model or select or fresh:
            what = "--model, --select and --fresh belong to a matrix"
            raise UsageError(what, str(matrix), "Name a matrix file.")
        folder = api.reopen_run(matrix, results=results)
    else:
        loaded, chosen = api.load(matrix, model=model), tuple(select or ())
        folder = api.open_run(
            loaded, select=chosen, results=results, fresh=fresh, notice=console.show_notice
        )
    if not api.pending(folder, retry_failed=retry_failed):
        raise console.nothing_pending(folder)
    console.warn_of_weights(api.scoring_weights(folder), matrix)
    console.warn(api.cache_caution())
    with console.run_progress() as progress:
        api.continue_run(folder, progress=progress, inline=inline)
    _leave(console.show_outcomes(folder, json))


@app.command()
def evaluate(run: RunName, results: Results = Path("results"), json: Json = False) -> None:
    """Score a run's images against the baseline's."""
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    console.warn(api.cache_caution())
    with console.scoring_progress() as advance:
        evaluation = api.evaluate(folder, advance=advance)
    console.show_evaluation(evaluation, json)


@app.command()
def gate(
    run: RunName, policy: PolicyName = None, results: Results = Path("results"), json: Json = False
) -> None:
    """Judge whether each cell may ship. Exit codes: 0 pass, 1 fail, 6 inconclusive."""
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    judgement = api.gate(folder, policy)
    code = console.show_judgement(judgement, api.unprofiled(folder), json)
    console.show_pending(folder, api.pending(folder))
    _leave(code)


@app.command()
def report(run: RunName, results: Results = Path("results"), out: Out = None) -> None:
    """Write the report: index.html, report.md, results.csv and figures."""
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    console.warn(api.cache_caution())
    console.show_path(api.report(folder, out))


@app.command()
def bench(
    matrix: MatrixFile,
    select: Select = None,
    model: ModelWord = None,
    results: Results = Path("results"),
    fresh: Fresh = False,
    retry_failed: Retry = False,
    policy: PolicyName = None,
    out: Out = None,
    nsys: Nsys = False,
    json: Json = False,
) -> None:
    """Plan, run, evaluate, gate and report.

    With quality.images = "auto" it continues until every verdict is decided.
    """
    from harness import api
    from harness.cli import console
    from harness.cli.nsight import run_under_nsys

    if nsys:
        run_under_nsys(matrix, results)
    loaded, chosen = api.load(matrix, policy, model), tuple(select or ())
    folder = api.open_run(
        loaded, select=chosen, results=results, fresh=fresh, notice=console.show_notice
    )
    api.pending(folder, retry_failed=retry_failed)
    console.warn_of_weights(api.scoring_weights(folder), matrix)
    console.warn(api.cache_caution())
    judgement = api.run_until_decided(
        folder,
        policy=loaded.policy,
        watch=api.Watch(console.run_progress, console.scoring_progress),
    )
    code = console.show_outcomes(folder, False, quiet=json)
    if judgement is not None:
        judged = console.show_judgement(judgement, api.unprofiled(folder), json)
        code = code or judged
    console.show_path(api.report(folder, out), progress=True)
    _leave(code)


@app.command()
def profile(
    run: RunName,
    cell: CellName = "",
    whole: AllCells = False,
    results: Results = Path("results"),
    inline: Inline = False,
    json: Json = False,
) -> None:
    """Trace a completed cell of a run, or all cells, and explain it.

    Measured latencies stay unchanged. Exit codes: 3 the cell did not complete, 4 it cannot be
    traced here.
    """
    from harness import api
    from harness.cli import console

    if bool(cell) == whole:
        raise UsageError(
            "name one cell, or --all", "harness profile", f"Such as: harness profile {run} baseline"
        )
    folder = api.find(run, results)
    with console.run_progress() as progress:
        traced = api.profile(folder, cell, progress=progress, inline=inline)
    console.show_explained([api.explain(folder, traced_cell) for traced_cell in traced], json)


@app.command()
def explain(
    run: RunName,
    cell: CellName = "baseline",
    against: Against = "",
    other: OtherRun = None,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Explain where a cell's time goes, with advice.

    Reads its trace: time by stage and kernel, differences from another cell. Exit code 3: the cell
    has no trace; the error shows the command that takes one.
    """
    from harness import api
    from harness.cli import console

    before = api.find(other, results) if other else None
    console.show_explained([api.explain(api.find(run, results), cell, against, before)], json)


@app.command()
def compare(a: RunName, b: RunName, results: Results = Path("results"), json: Json = False) -> None:
    """Compare latencies, verdicts and scores of two runs.

    Exit code 7: a figure has another meaning in each run, such as a loss against another baseline.
    It is not shown; latencies are.
    """
    from harness import api
    from harness.cli import console

    _leave(console.show_comparison(api.compare(api.find(a, results), api.find(b, results)), json))


@app.command()
def claims(
    run: RunName, ledger: Ledger = None, results: Results = Path("results"), json: Json = False
) -> None:
    """Compare published claims with what a run measured.

    Each is confirmed, refuted, or not comparable, with the reason. Exit codes: 0 at least one claim
    is comparable, 3 none is: another GPU, another model, other cells.
    """
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    _leave(console.show_claims(folder, api.claims(folder, ledger), json))


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
    _leave(console.show_weights(rows, json, asked=bool(asked)))


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


def _leave(code: int) -> None:
    if code:
        raise typer.Exit(code)


def main() -> None:
    """Run the command. An error prints what happened, where, and what to do, and sets the exit
    code."""
    guard_streams()
    try:
        app()
    except SystemExit as ending:
        if ending.code == CTRL_C:
            from harness.cli import console

            console.show_interrupt()
        raise
    except Exception as error:
        if os.environ.get("HARNESS_DEBUG"):
            raise
        from harness.cli import console

        sys.exit(console.show_error(error))
