"""Commands for every night: nightly, history, accept, prune."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from harness.cli.app import app, leave
from harness.cli.arguments import Json, ModelWord, Results
from harness.core.errors import UsageError

MatrixWord = Annotated[
    str, typer.Argument(metavar="MATRIX", help="A matrix file, or the name of a shipped matrix.")
]
TrendOut = Annotated[
    Path | None,
    typer.Option("--out", help="Folder of the trend page; default: reports/<matrix>/trend."),
]


@app.command()
def nightly(
    matrix: MatrixWord = "",
    model: ModelWord = None,
    results: Results = Path("results"),
    out: TrendOut = None,
    notify: Annotated[
        bool, typer.Option("--notify", help="Send news to the targets of [nightly] notify.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Show 120 simulated nights with known changes.")
    ] = False,
    json: Json = False,
) -> None:
    """Measure anew; report what got slower or worse, and why.

    Suspected changes are measured once more the same night. Exit codes: 0 nothing new, 1 a new
    regression, 6 a suspected one, 5 some cells failed.
    """
    from harness import api
    from harness.cli import console, demo_view, nightly_view
    from harness.nightly.demo import run_demo
    from harness.nightly.night import NightlyOptions, run_nightly

    if demo == bool(matrix):
        fix = "Such as: harness nightly sdxl.toml, or: harness nightly --demo"
        raise UsageError("name one matrix, or --demo", "harness nightly", fix)
    if demo:
        return demo_view.show_demo(run_demo(out), json)
    console.warn(api.cache_caution())
    options = NightlyOptions(
        results=results,
        out=out,
        notify=notify,
        watch=api.Watch(console.run_progress, console.scoring_progress),
        notice=console.show_notice,
    )
    result = run_nightly(Path(matrix), api.load(matrix, model=model), options)
    leave(nightly_view.show_night(result, json))


@app.command()
def history(
    words: Annotated[
        list[str], typer.Argument(metavar="MATRIX | add PATH…", help="A matrix, or runs to add.")
    ],
    results: Results = Path("results"),
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Read every run again, and trust no earlier file.")
    ] = False,
    page: Annotated[bool, typer.Option("--page", help="Write the trend page.")] = False,
    out: TrendOut = None,
    json: Json = False,
) -> None:
    """Show a matrix's nights and changes, or add runs.

    Runs to add may lie anywhere and need no images: `harness history add PATH…` takes runs, folders
    of runs, and history files of other machines.
    """
    from harness.cli import console, nightly_view
    from harness.nightly.following import add_runs, follow, write_page

    first, *rest = words
    if first == "add":
        if not rest:
            raise UsageError("name at least one path", "harness history add", "Such as a run.")
        return nightly_view.show_added(add_runs(map(Path, rest), results), json)
    if rest:
        fix = "To add runs: harness history add PATH…"
        raise UsageError("name one matrix", f"harness history {' '.join(words)}", fix)
    followed = follow(Path(first), results, anew=rebuild)
    nightly_view.show_history(followed, json)
    if page or out:
        console.show_path(write_page(followed, results, out), progress=True)


@app.command()
def accept(
    change: Annotated[str, typer.Argument(help="The id of a change, or its beginning.")],
    why: Annotated[str, typer.Option("--why", help="The reason, which pages then show.")],
    who: Annotated[str, typer.Option("--who", help="Who accepts; default: git's name.")] = "",
    until: Annotated[
        datetime | None,
        typer.Option("--until", formats=["%Y-%m-%d"], help="The last day on which it counts."),
    ] = None,
    matrix: Annotated[
        Path | None, typer.Option("--matrix", help="The matrix file, if it has moved.")
    ] = None,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Accept a regression as the new level.

    The file is nightly-accepted.toml next to the matrix. Improvements need no acceptance.
    """
    from harness.cli import nightly_view
    from harness.nightly.acceptance import Reason
    from harness.nightly.acceptance import accept as accept_change

    reason = Reason(why, who, until.date() if until else None)
    nightly_view.show_accepted(accept_change(change, reason, results, matrix), json)


@app.command()
def prune(
    keep_images: Annotated[
        int | None,
        typer.Option("--keep-images", min=0, help="Keep the images of so many newest nights."),
    ] = None,
    keep_traces: Annotated[
        int | None,
        typer.Option("--keep-traces", min=0, help="Keep the traces of so many newest nights."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete; without it nothing is.")] = False,
    accepted: Annotated[
        list[Path] | None,
        typer.Option("--accepted", help="A further file of accepted changes to respect."),
    ] = None,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Delete images and traces of old nights; shows them first.

    Counts nights by matrix and machine. Figures, scores, verdicts and reports stay. Runs of
    sign-off bundles and of accepted changes keep everything.
    """
    from harness.cli import nightly_view
    from harness.core.parsing import expand_user
    from harness.history.acceptance import FILE_NAME
    from harness.history.pruning import Keep, plan_pruning
    from harness.history.pruning import prune as delete

    if keep_images is None and keep_traces is None:
        fix = "Such as: harness prune --keep-images 7 --keep-traces 30"
        raise UsageError("nothing to prune", "harness prune", fix)
    files = tuple(map(expand_user, (Path(FILE_NAME), *(accepted or ()))))
    planned = plan_pruning(expand_user(results), Keep(keep_images, keep_traces), files)
    passed_over = delete(planned) if yes else ()
    nightly_view.show_pruning(planned, passed_over, yes, json)
