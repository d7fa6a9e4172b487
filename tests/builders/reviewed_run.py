"""A run with a human review: a page of rendered scenes, and raters who answer by a script."""

from collections.abc import Callable
from pathlib import Path

from harness.core.axis import Setting
from harness.core.review import Choice, ReviewAnswer, ReviewAnswers, ReviewKey, ReviewPair
from harness.review import Wish, add_answers, write_review
from tests.builders.scored_run import Change, doubled, keep, make_scored_run, washed_out

CELL = "washed-out"
CANDIDATES: dict[str, tuple[Setting, Change]] = {
    CELL: (Setting(axis="precision", name="fp16"), washed_out),
    "same": (Setting(axis="compiler", name="inductor"), keep),
    "doubled": (Setting(axis="resolution", name="128x128"), doubled),
}
Choose = Callable[[ReviewPair, int], Choice]
OTHER: dict[str, Choice] = {"left": "right", "right": "left"}


def make_reviewed_run(root: Path, pairs: int = 20, cell: str = CELL) -> tuple[Path, ReviewKey]:
    """Write a run of 24 prompts with one review page; return its folder and the page's key."""
    run = make_scored_run(root / "results", prompts=24, candidates=CANDIDATES)
    return run, write_review(run, cell, Wish(pairs=pairs)).key


def preferring(every: int) -> Choose:
    """Prefer the candidate in each `every`-th pair, and see no difference in the others."""
    return lambda pair, place: pair.marked if place % every == 0 and pair.marked else "tie"


def losing(pair: ReviewPair, place: int) -> Choice:
    """Prefer the baseline in every pair."""
    return OTHER[pair.marked or "left"]


def attentive(choose: Choose) -> Choose:
    """Answer attention checks rightly, and all others as `choose` does."""

    def answer(pair: ReviewPair, place: int) -> Choice:
        if pair.kind == "pair":
            return choose(pair, place)
        return pair.marked or "tie"

    return answer


def answer(key: ReviewKey, rater: str, choose: Choose, ms: int = 1500) -> ReviewAnswers:
    """Return complete answers with a right checksum; the first image on the left is called broken."""
    answers = tuple(
        ReviewAnswer(pair=pair.token, choice=choose(pair, place), broken=("left",) if place == 0 else (), ms=ms + place)
        for place, pair in enumerate(key.pairs)
    )
    return seal(
        ReviewAnswers(
            kind="harness review answers", version=1, run=key.run, page=key.page, rater=rater,
            started="2026-11-29T20:00:00.000Z", finished="2026-11-29T20:09:00.000Z", answers=answers, checksum="",
        )
    )  # fmt: skip


def seal(given: ReviewAnswers) -> ReviewAnswers:
    """Return answers with a right checksum."""
    return given.model_copy(update={"checksum": given.compute_checksum()})


def write_answers(folder: Path, given: ReviewAnswers) -> Path:
    """Write answers as the page saves them."""
    path = folder / f"{given.rater}-{given.page}.json"
    path.write_text(given.model_dump_json(indent=1), encoding="utf-8")
    return path


def add(run: Path, key: ReviewKey, **raters: Choose) -> None:
    """Add the answers of several raters to a run."""
    files = [
        write_answers(run.parent, answer(key, name, choose, 1000 + 100 * place))
        for place, (name, choose) in enumerate(raters.items())
    ]
    add_answers(run, files)
