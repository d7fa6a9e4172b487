"""The commands of a night: arguments, exit codes and JSON."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.core.errors import HarnessError
from tests.builders.fake_run import copy_finished_run
from tests.unit.test_nightly import FAST, detecting


def invoke(*words: str) -> Any:
    return CliRunner().invoke(app, words)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a matrix and one run, whose newest night found a slower cell."""
    copy_finished_run(tmp_path)
    monkeypatch.setattr("harness.history.changes.detect", detecting({}))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_history_prints_every_figure_as_json(place: Path) -> None:
    done = invoke("history", "fake.toml", "--json")
    assert done.exit_code == 0, done.output
    document = json.loads(done.stdout)
    assert [night["run"] for night in document["nights"]] == [path.name for path in (place / "results").glob("2*")]
    assert [change["cell"] for change in document["changes"]] == [FAST]
    assert {series["quantity"] for series in document["series"][0]["series"]} == {"latency", "cold_start"}


def test_history_writes_the_page_when_asked(place: Path) -> None:
    assert invoke("history", "fake", "--page", "--rebuild").exit_code == 0
    assert (place / "reports" / "fake" / "trend" / "index.html").exists()
    assert invoke("history", "fake", "--out", "elsewhere").exit_code == 0
    assert (place / "elsewhere" / "junit.xml").exists()


def test_accept_and_prune_answer_in_json(place: Path) -> None:
    done = invoke("accept", "fake/", "--why", "new scheduler", "--who", "Ada", "--matrix", "fake.toml", "--json")
    assert json.loads(done.stdout)["who"] == "Ada"
    assert "Ada" in invoke("history", "fake.toml").stdout
    done = invoke("prune", "--keep-images", "0", "--json")
    document = json.loads(done.stdout)
    assert (document["deleted"], document["images"]) == (False, 0)
    assert "accepted change" in document["runs"][0]["kept"]


def test_pruning_needs_yes(place: Path) -> None:
    count = len(list(place.glob("results/*/cells/*/images/*.png")))
    assert "--yes" in invoke("prune", "--keep-images", "0").stdout
    assert len(list(place.glob("results/*/cells/*/images/*.png"))) == count
    assert f"{count} images" in invoke("prune", "--keep-images", "0", "--yes").stdout
    assert not list(place.glob("results/*/cells/*/images/*.png"))
    assert "Nothing" in invoke("prune", "--keep-images", "0", "--yes").stdout


def test_added_runs_are_counted(place: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    other = copy_finished_run(tmp_path_factory.mktemp("other"))
    assert json.loads(invoke("history", "add", str(other), "--results", "new", "--json").stdout) == [
        {"matrix": "fake", "nights": 1}
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("nightly",), 2),
        (("nightly", "fake.toml", "--demo"), 2),
        (("nightly", "none.toml"), 2),
        (("history", "add"), 2),
        (("history", "fake.toml", "other.toml"), 2),
        (("history", "unknown"), 2),
        (("prune",), 2),
        (("accept", "nothing", "--why", "x"), 2),
    ],
)
def test_wrong_usage_ends_with_2(place: Path, words: tuple[str, ...], code: int) -> None:
    done = invoke(*words)
    assert isinstance(done.exception, HarnessError), done.output
    assert done.exception.exit_code == code
