"""Read and write human reviews: reviews/<page>/key.json and answers/<rater>.json."""

import hashlib
from pathlib import Path

from harness.core.errors import ResultsError
from harness.core.review import Review, ReviewAnswers, ReviewKey
from harness.store.layout import RunFolder
from harness.store.read import parse_file
from harness.store.write import write_atomically

_REPAIR = "Restore this file from a copy, or delete its folder to drop this review."


def read_reviews(run: Path) -> tuple[Review, ...]:
    """Return the reviews of a run, oldest page first; ResultsError if a file is damaged."""
    folder = RunFolder(run)
    pages = folder.reviews.iterdir() if folder.reviews.is_dir() else ()
    found = [
        _read_review(folder, page.name) for page in pages if folder.review_key(page.name).exists()
    ]
    return tuple(sorted(found, key=lambda review: (review.key.created, review.key.page)))


def write_review_key(run: Path, key: ReviewKey) -> None:
    """Write which sides of a new page are the candidate's."""
    write_atomically(RunFolder(run).review_key(key.page), key.model_dump_json(indent=1).encode())


def write_review_answers(run: Path, answers: ReviewAnswers) -> None:
    """Write the answers of one rater to one page."""
    name = hashlib.sha256(answers.rater.casefold().encode()).hexdigest()[:12]
    file = RunFolder(run).review_answers(answers.page) / f"{name}.json"
    write_atomically(file, answers.model_dump_json(indent=1).encode())


def _read_review(folder: RunFolder, page: str) -> Review:
    key = parse_file(folder.review_key(page), ReviewKey.model_validate_json, _REPAIR)
    files = sorted(folder.review_answers(page).glob("*.json"))
    answers = (_read_answers(file, key) for file in files)
    ordered = sorted(answers, key=lambda given: (given.finished, given.rater))
    return Review(key=key, answers=tuple(ordered))


def _read_answers(file: Path, key: ReviewKey) -> ReviewAnswers:
    found = parse_file(file, ReviewAnswers.model_validate_json, _REPAIR)
    if problems := key.list_problems(found):
        raise ResultsError("; ".join(problems), str(file), _REPAIR)
    return found
