"""Accepted changes: a TOML file that people and harness both write."""

import datetime
from pathlib import Path

import pytest

from harness.core.errors import AcceptanceError
from harness.core.history import Level, LevelChange
from harness.history.acceptance import Acceptance, add_accepted, apply_accepted, read_accepted

TODAY = datetime.date(2026, 11, 29)


def level(value: float) -> Level:
    return Level(estimate=value, low=value, high=value, nights=9)


def change(**changed: object) -> LevelChange:
    known = {
        "id": "m/gpu/fast/latency/night-0009", "machine": "Test GPU", "cell": "fast", "quantity": "latency",
        "since": "night-0009", "found": "night-0010", "before": level(1.0), "after": level(1.1), "direction": "worse",
        "state": "known",
    }  # fmt: skip
    return LevelChange.model_validate(known | changed)


def acceptance(**changed: object) -> Acceptance:
    known = {
        "change": change().id, "machine": "Test GPU", "cell": "fast", "quantity": "latency", "since": "night-0009",
        "previous": "night-0008", "before": 1.0, "after": 1.1, "who": "Ada", "when": TODAY, "why": "new scheduler",
    }  # fmt: skip
    return Acceptance.model_validate(known | changed)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    file = tmp_path / "nightly-accepted.toml"
    odd = acceptance(why='"quoted" \\ back, line\nbreak, tab\t, ☃ and \x7f', until=TODAY, after=1e-7)
    add_accepted(file, acceptance())
    add_accepted(file, odd)
    assert read_accepted(file) == (acceptance(), odd)


def test_comments_of_people_stay(tmp_path: Path) -> None:
    file = tmp_path / "nightly-accepted.toml"
    add_accepted(file, acceptance())
    file.write_text(file.read_text(encoding="utf-8") + "\n# ask Ada\n", encoding="utf-8")
    add_accepted(file, acceptance(change="other"))
    assert "# ask Ada" in file.read_text(encoding="utf-8")
    assert [each.change for each in read_accepted(file)] == [change().id, "other"]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[[accepted]]\nchange = 1\n", "accepted.0.change"),
        ("[[accepted]]\nwhy = \n", "not TOML"),
        ("[[acepted]]\n", "acepted"),
        ('[[accepted]]\nwhen = "soon"\n', "accepted.0.when"),
    ],
)
def test_a_wrong_file_names_its_mistakes(tmp_path: Path, text: str, where: str) -> None:
    file = tmp_path / "nightly-accepted.toml"
    file.write_text(text, encoding="utf-8")
    for attempt in (read_accepted, lambda path: add_accepted(path, acceptance())):
        with pytest.raises(AcceptanceError) as caught:
            attempt(file)
        assert any(where in problem for problem in caught.value.problems)
    assert file.read_text(encoding="utf-8") == text


def test_a_missing_file_accepts_nothing(tmp_path: Path) -> None:
    assert read_accepted(tmp_path / "none.toml") == ()


@pytest.mark.parametrize(
    ("until", "state"),
    [(None, "accepted"), (TODAY, "accepted"), (TODAY - datetime.timedelta(days=1), "new")],
)
def test_acceptance_ends_after_its_last_day(until: datetime.date | None, state: str) -> None:
    (found,) = apply_accepted([change()], [acceptance(until=until)], TODAY)
    assert found.state == state
    assert "new scheduler" in found.why


def test_other_changes_stay_as_they_are() -> None:
    other = change(id="other")
    assert apply_accepted([other], [acceptance()], TODAY) == (other,)
