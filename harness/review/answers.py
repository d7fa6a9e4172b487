"""Answers of raters: checked against the pages of a run, then stored in it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from harness.core.errors import ResultsError
from harness.core.parsing import read_record
from harness.core.review import REVIEW_VERSION, Review, ReviewAnswers
from harness.core.units import plural
from harness.store import lock_run, read_plan, read_reviews, write_review_answers

KIND = "harness review answers"


def add_answers(folder: Path, files: Sequence[Path]) -> tuple[ReviewAnswers, ...]:
    """Store the answers of exported files in a run: all of them, or none if one is refused.

    Raises ResultsError with every problem: unreadable, incomplete or changed answers, those of
    another run or page, and answers that were added before.
    """
    read_plan(folder)
    problems: list[str] = []
    accepted: list[ReviewAnswers] = []
    with lock_run(folder):
        reviews = read_reviews(folder)
        known = [given for review in reviews for given in review.answers]
        for file in files:
            given = _read(file)
            if isinstance(given, str):
                problems.append(f"{file}: {given}")
                continue
            found = [*_check_page(given, reviews), *_find_doubles(given, [*known, *accepted])]
            problems += [f"{file}: {problem}" for problem in found]
            accepted += [] if found else [given]
        if problems:
            what = f"{plural(len(problems), 'problem')}, nothing was added\n"
            listing = "\n".join(f"  - {problem}" for problem in problems)
            fix = "Leave these files out, or ask the rater to export the answers again."
            raise ResultsError(what + listing, str(folder), fix)
        for given in accepted:
            write_review_answers(folder, given)
    return tuple(accepted)


def _read(file: Path) -> ReviewAnswers | str:
    """Return the answers in a file, or why it has none."""
    try:
        document: Any = json.loads(file.read_bytes())
    except OSError as error:
        return f"cannot read: {error.strerror}"
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(document, dict) or document.get("kind") != KIND:
        return f'no answers of a review page: `kind` is not "{KIND}"'
    version = document.get("version")
    if isinstance(version, int) and version > REVIEW_VERSION:
        return f"version {version} is newer than this harness reads ({REVIEW_VERSION}): upgrade it"
    given, mistakes = read_record(ReviewAnswers, document)
    return given or "; ".join(mistakes)


def _check_page(given: ReviewAnswers, reviews: Iterable[Review]) -> list[str]:
    keys = {review.key.page: review.key for review in reviews}
    if given.page in keys and given.run == keys[given.page].run:
        return keys[given.page].list_problems(given)
    runs = {key.run for key in keys.values()}
    if given.run in runs:
        known = ", ".join(keys)
        return [f"answers page {given.page}, which this run does not have (it has {known})"]
    if not runs:
        return ["this run has no review page: make one with harness review RUN CELL"]
    return [f"answers of another run (its digest is {given.run}, not {', '.join(sorted(runs))})"]


def _find_doubles(given: ReviewAnswers, known: Iterable[ReviewAnswers]) -> list[str]:
    """Return why answers are the same as known ones: the same rater, or the same answers."""
    problems = []
    for other in known:
        if other.page != given.page:
            continue
        if other.rater.casefold() == given.rater.casefold():
            same = other.checksum == given.checksum
            what = "these answers were added before" if same else "another set of answers is stored"
            problems.append(f"duplicate: rater {given.rater} answered this page; {what}")
        elif other.answers == given.answers:
            problems.append(
                f"duplicate: all answers and times of {given.rater} are those of {other.rater}"
            )
    return problems
