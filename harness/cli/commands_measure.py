"""Commands that measure: plan, run, bench, profile."""

from pathlib import Path

from harness.cli.app import app, leave
from harness.cli.arguments import (
    AllCells,
    CellName,
    Fresh,
    Inline,
    Json,
    MatrixFile,
    ModelWord,
    Nsys,
    Out,
    Pilot,
    PolicyName,
    Results,
    Retry,
    RunName,
    Select,
)
from harness.core.errors import UsageError


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
    With quality.images = "auto" this is one stage; gate then decides which cells need more images.
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
    leave(console.show_outcomes(folder, json))


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
    leave(code)


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
