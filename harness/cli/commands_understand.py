"""Commands that explain results: report, explain, compare, export."""

from pathlib import Path

from harness.cli.app import app, leave
from harness.cli.arguments import (
    Against,
    CellName,
    ExportFolder,
    ExportKind,
    Force,
    Json,
    Ledger,
    OtherRun,
    Out,
    PageFolder,
    Results,
    RunName,
    RunNames,
)


@app.command()
def report(run: RunName, results: Results = Path("results"), out: Out = None) -> None:
    """Write the report: page, Markdown, CSV, JUnit XML, figures."""
    from harness import api
    from harness.cli import console

    folder = api.find(run, results)
    console.warn(api.cache_caution())
    console.show_path(api.report(folder, out))


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
def compare(
    runs: RunNames,
    ledger: Ledger = None,
    results: Results = Path("results"),
    out: PageFolder = None,
    json: Json = False,
) -> None:
    """Compare two or more runs: latencies, verdicts, scores, and published figures.

    Each later run is compared with the first. Exit code 7: a figure has another meaning in each
    run, such as a loss against another baseline. It is not shown; latencies are.
    """
    from harness import api
    from harness.cli import console

    found = api.compare(*(api.find(run, results) for run in runs), ledger=ledger, out=out)
    code = console.show_comparison(found, json)
    if out:
        console.show_path(out / "index.html", progress=True)
    leave(code)


@app.command()
def export(
    runs: RunNames,
    to: ExportFolder = Path("paper"),
    kind: ExportKind = "paper",
    force: Force = False,
    results: Results = Path("results"),
) -> None:
    """Export judged runs: a paper, a data set, or a tracker's local store.

    paper: LaTeX tables, figures, methods and appendix. parquet: tables with a Croissant and a
    Hugging Face card. mlflow, wandb, trackio: one tracked run per cell, nothing is uploaded.
    Exit code 7: a run was not evaluated or judged, or runs define a metric differently.
    """
    from harness import api
    from harness.cli import console

    folders = [api.find(run, results) for run in runs]
    console.show_path(api.export(*folders, out=to, kind=kind, force=force))
