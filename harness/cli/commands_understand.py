"""Commands that explain results: report, explain, compare."""

from pathlib import Path

from harness.cli.app import app, leave
from harness.cli.arguments import Against, CellName, Json, OtherRun, Out, Results, RunName


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
def compare(a: RunName, b: RunName, results: Results = Path("results"), json: Json = False) -> None:
    """Compare latencies, verdicts and scores of two runs.

    Exit code 7: a figure has another meaning in each run, such as a loss against another baseline.
    It is not shown; latencies are.
    """
    from harness import api
    from harness.cli import console

    leave(console.show_comparison(api.compare(api.find(a, results), api.find(b, results)), json))
