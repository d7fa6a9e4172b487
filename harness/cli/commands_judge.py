"""Commands that judge: evaluate, gate, review, claims."""

from pathlib import Path

from harness.cli.app import app, leave
from harness.cli.arguments import (
    AddAnswers,
    Json,
    JUnitFile,
    Ledger,
    PolicyName,
    Results,
    ReviewPage,
    ReviewPairs,
    ReviewSeed,
    ReviewWords,
    RunName,
)


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
    run: RunName,
    policy: PolicyName = None,
    junit: JUnitFile = None,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Judge whether each cell may ship. Exit codes: 0 pass, 1 fail, 6 inconclusive."""
    from harness import api
    from harness.cli import console
    from harness.core.parsing import expand_user
    from harness.results import Run
    from harness.results.junit import write_junit

    folder = api.find(run, results)
    judgement = api.gate(folder, policy)
    if junit:
        write_junit(Run.load(folder), expand_user(junit), "--junit")
    code = console.show_judgement(judgement, api.unprofiled(folder), json)
    console.show_pending(folder, api.pending(folder))
    leave(code)


@app.command()
def review(
    run: RunName,
    words: ReviewWords = None,
    add: AddAnswers = False,
    pairs: ReviewPairs = 60,
    seed: ReviewSeed = 0,
    out: ReviewPage = None,
    results: Results = Path("results"),
    json: Json = False,
) -> None:
    """Let people compare a cell's images with the baseline's.

    With a cell: writes a page with pairs of images, sides hidden. With --add: stores answers that
    raters saved. Without either: prints what people preferred. Exit code 3: no answers yet.
    """
    from harness import api
    from harness.cli import review_view

    folder, given = api.find(run, results), tuple(words or ())
    if add:
        review_view.add(folder, given, json)
    elif given:
        review_view.write(folder, given, review_view.Wish(pairs, seed, out), json)
    else:
        leave(review_view.show_run(folder, json))


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
    leave(console.show_claims(folder, api.claims(folder, ledger), json))
