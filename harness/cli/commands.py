"""The `harness` command: each command parses, calls the api and hands the answer to the console."""

import os
import sys
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from harness.cli.streams import guard_streams
from harness.core.errors import UsageError

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: spinning threads starve each other

CTRL_C = 130
"""The status typer gives to Ctrl-C, as shells do."""

app = typer.Typer(
    help="What does an optimization of an image model buy, what does it cost in quality, may we ship it?",
    epilog="Exit codes: 0 pass · 1 gate failed · 2 wrong usage or matrix · 3 nothing to do · 4 machine not usable · "
    "5 some cells failed · 6 inconclusive · 7 results unreadable.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)

Word = TypeVar("Word", str, Path, None)


def _require_text(word: Word) -> Word:
    """Return an argument that results record; UsageError where its bytes are not text, which JSON cannot hold."""
    try:
        str(word).encode()
    except UnicodeEncodeError as error:
        shown = str(word).encode(errors="backslashreplace").decode()
        raise UsageError("this name is not UTF-8 text", shown, "Rename it, or set a UTF-8 locale.") from error
    return word


MatrixFile = Annotated[Path, typer.Argument(metavar="MATRIX", help="A matrix file, or a name of `harness init`.")]
RunName = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, its name, its matrix file, or `latest`.")]
Select = Annotated[list[str] | None, typer.Option("--select", "-s", help="Globs on cell ids, such as '*fp8*'.")]
Pilot = Annotated[Path | None, typer.Option("--power", metavar="RUN", help="Plan by what this evaluated run showed.")]
ModelWord = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        callback=_require_text,
        help="Instead of the matrix's: a name, a folder, a .safetensors file or a hub id.",
    ),
]
Results = Annotated[Path, typer.Option("--results", callback=_require_text, help="Folder that holds the runs.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Begin a new run instead of going on with an earlier one.")]
Retry = Annotated[bool, typer.Option("--retry-failed", help="Try failed cells again.")]
Inline = Annotated[bool, typer.Option("--inline", help="Run cells in this process, for debugging.")]
Nsys = Annotated[
    bool, typer.Option("--nsys", help="Run this under Nsight Systems, in a folder apart; without it, print how.")
]
AxisNames = Annotated[list[str] | None, typer.Argument(metavar="[AXIS]…", help="Show these with all options.")]
WeightUsers = Annotated[list[str] | None, typer.Argument(metavar="[MATRIX|METRIC]…", help="A matrix file, or metrics.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch what is missing first.")]
PolicyName = Annotated[
    str | None,
    typer.Option("--policy", help="A shipped policy (harness policies) or a .toml file, instead of the run's."),
]
CellName = Annotated[str, typer.Argument(metavar="[CELL]", help="A cell's id, or `baseline`.")]
AllCells = Annotated[bool, typer.Option("--all", help="Every cell that completed.")]
Against = Annotated[str, typer.Option("--against", metavar="CELL", help="The cell to compare it with.")]
OtherRun = Annotated[Path | None, typer.Option("--in", metavar="RUN", help="The run that cell is in, if another.")]
Ledger = Annotated[Path | None, typer.Option("--ledger", metavar="FILE", help="A file of further claims.")]
Out = Annotated[Path | None, typer.Option("--out", help="Folder of the report; default: reports/<run>.")]


@app.callback()
def options(debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False) -> None:
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
    """Show every cell, ready or skipped with its reason, and an estimate; runs nothing.

    With --power: how many prompts decide each verdict at 90 % power, and which losses this plan can tell.
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
    """Measure every cell; the same command goes on where an interrupted run stopped.

    Instead of a matrix a run may be named, to measure what that run lacks.

    With quality.images = "auto" this is one round; evaluate and gate then say which cells the next one is for.
    """
    from harness import api
    from harness.cli import console
    from harness.cli.nsight import run_under_nsys
    from harness.finding import is_run

    if nsys:
        run_under_nsys(matrix, results)
    if is_run(matrix, results):
        if model or select or fresh:
            raise UsageError("--model, --select and --fresh belong to a matrix", str(matrix), "Name a matrix file.")
        folder = api.reopen_run(matrix, results=results)
    else:
        loaded, chosen = api.load(matrix, model=model), tuple(select or ())
        folder = api.open_run(loaded, select=chosen, results=results, fresh=fresh, notice=console.show_notice)
    if not api.pending(folder, retry_failed=retry_failed):
        raise console.nothing_pending(folder)
    console.warn_of_weights(api.scoring_weights(folder), matrix)
    console.warn(api.cache_caution())
    with console.run_progress() as progress:
        api.continue_run(folder, progress=progress, inline=inline)
    _leave(console.show_outcomes(folder, json))


@app.command()
def evaluate(run: RunName, results: Results = Path("results"), json: Json = False) -> None:
    """Score a run's images against its baseline."""
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    console.warn(api.cache_caution())
    with console.scoring_progress() as advance:
        evaluation = api.evaluate(folder, advance=advance)
    console.show_evaluation(evaluation, json)


@app.command()
def gate(run: RunName, policy: PolicyName = None, results: Results = Path("results"), json: Json = False) -> None:
    """Judge a run, again if need be: may each cell ship? Exit 0 pass, 1 fail, 6 inconclusive."""
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    judgement = api.gate(folder, policy)
    code = console.show_judgement(judgement, api.unprofiled(folder), json)
    console.show_pending(folder, api.pending(folder))
    _leave(code)


@app.command()
def report(run: RunName, results: Results = Path("results"), out: Out = None) -> None:
    """Write the report: index.html, report.md, results.csv, figures."""
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
    """Plan, run, evaluate, gate and report in one go; with quality.images = "auto", in rounds until all is settled."""
    from harness import api
    from harness.cli import console
    from harness.cli.nsight import run_under_nsys

    if nsys:
        run_under_nsys(matrix, results)
    loaded, chosen = api.load(matrix, policy, model), tuple(select or ())
    folder = api.open_run(loaded, select=chosen, results=results, fresh=fresh, notice=console.show_notice)
    api.pending(folder, retry_failed=retry_failed)
    console.warn_of_weights(api.scoring_weights(folder), matrix)
    console.warn(api.cache_caution())
    judgement = api.run_until_decided(
        folder, policy=loaded.policy, watch=api.Watch(console.run_progress, console.scoring_progress)
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
    """Trace a completed cell of a run once more, or all of them, and print what the trace says, as explain does.

    What was timed stays. Exit 3 the cell did not complete · 4 it cannot be traced here, and why.
    """
    from harness import api
    from harness.cli import console

    if bool(cell) == whole:
        raise UsageError("name one cell, or --all", "harness profile", f"Such as: harness profile {run} baseline")
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
    """Say what a cell's time goes into, from its trace: by stage and kernel, with advice, and what changed since.

    Exit 3 the cell has no trace: the command that makes one is printed.
    """
    from harness import api
    from harness.cli import console

    before = api.find(other, results) if other else None
    console.show_explained([api.explain(api.find(run, results), cell, against, before)], json)


@app.command()
def compare(a: RunName, b: RunName, results: Results = Path("results"), json: Json = False) -> None:
    """Line up two runs cell by cell: latency, speed ratio, verdicts, scores.

    Exit 7 if a figure means something else in each run, such as a loss against another baseline: it is not shown,
    latencies still are.
    """
    from harness import api
    from harness.cli import console

    _leave(console.show_comparison(api.compare(api.find(a, results), api.find(b, results)), json))


@app.command()
def claims(run: RunName, ledger: Ledger = None, results: Results = Path("results"), json: Json = False) -> None:
    """Line up published claims with what a run measured: confirmed, refuted, or not comparable and why.

    Exit 0, however they come out · 3 none is comparable: another GPU, another model, other cells.
    """
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    _leave(console.show_claims(folder, api.claims(folder, ledger), json))


@app.command()
def weights(names: WeightUsers = None, download: Download = False, json: Json = False) -> None:
    """List the weight files metrics need: where each was found, verified how, what to do otherwise.

    Exit 0 all is well · 4 a file is wrong, or one that was asked for is missing.
    """
    from harness import api
    from harness.cli import console

    asked = tuple(names or ())
    with console.download_progress() as advance:
        rows = api.weights(asked, download=download, advance=advance)
    _leave(console.show_weights(rows, json, asked=bool(asked)))


@app.command()
def axes(names: AxisNames = None, json: Json = False) -> None:
    """List every axis value and whether it runs here."""
    from harness import api
    from harness.cli import console

    console.show_axes(api.list_axes(tuple(names or ())), json, whole=bool(names))


@app.command()
def policies(name: Annotated[str, typer.Argument(help="Print this policy's file.")] = "", json: Json = False) -> None:
    """List the policies that ship: what each answers, and its rules. With a name: its file, to start one's own from."""
    from harness import api
    from harness.cli import console

    if name:
        console.show_text(api.show_policy(name))
    else:
        console.show_policies(api.list_policies(), json)


@app.command()
def init(
    name: Annotated[str, typer.Argument(help="A shipped matrix; without it, they are listed.")] = "",
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to write it: NAME.toml.")] = None,
) -> None:
    """Write a copy of a shipped matrix, to edit; without a name, list the matrices that ship."""
    from harness import api
    from harness.cli import console

    if name:
        return console.show_path(api.write_matrix(name, file))
    matrices = api.list_matrices()
    width = max(map(len, matrices))
    console.show_text("".join(f"{name:<{width}}  {about}\n" for name, about in matrices.items()))


@app.command()
def doctor(json: Json = False) -> None:
    """Describe this machine as results will record it, and what it can tell while cells are timed."""
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
    """Run the command; an error says what, where and what to do, and sets the exit code."""
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
