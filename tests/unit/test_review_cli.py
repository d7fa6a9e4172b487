"""`harness review`: writes a page, adds answers, prints what people preferred; exit codes."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.core.errors import HarnessError
from harness.core.review import ReviewKey
from harness.store import read_reviews
from tests.builders.reviewed_run import CELL, answer, attentive, make_reviewed_run, preferring, write_answers

GOOD = attentive(preferring(3))


@pytest.fixture
def reviewed(tmp_path: Path) -> tuple[Path, ReviewKey]:
    return make_reviewed_run(tmp_path, pairs=4)


def call(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["review", *map(str, words)])


def refused(*words: str | Path) -> int:
    error = call(*words).exception
    assert isinstance(error, HarnessError)
    return int(error.exit_code)


def test_page_is_written_where_asked(reviewed: tuple[Path, ReviewKey], tmp_path: Path) -> None:
    run, _ = reviewed
    place = tmp_path / "for-raters.html"
    done = call(run, CELL, "--pairs", "3", "--out", place, "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)["pairs"] == {"pair": 3, "identical": 3, "control": 3}
    assert place.exists()
    assert len(read_reviews(run)) == 2


def test_added_answers_are_printed(reviewed: tuple[Path, ReviewKey], tmp_path: Path) -> None:
    run, key = reviewed
    assert call(run).exit_code == 3
    files = [write_answers(tmp_path, answer(key, name, GOOD, ms)) for name, ms in (("Ann", 900), ("Ben", 800))]
    added = call(run, "--add", *files, "--json")
    assert added.exit_code == 0
    (found,) = json.loads(added.stdout)
    assert (found["cell"], found["pairs"], found["lost"]) == (CELL, 4, 0)
    shown = call(run)
    assert shown.exit_code == 0
    assert "4 pairs by 2 raters" in shown.stdout


def test_wrong_use_has_exit_code_2(reviewed: tuple[Path, ReviewKey]) -> None:
    run, _ = reviewed
    assert refused(run, CELL, "same") == 2
    assert refused(run, "baseline") == 2
    assert refused(run, CELL, "--pairs", "0") == 2
    assert refused(run, "--add") == 2
    assert refused(run, "--add", "nothing.json") == 7
