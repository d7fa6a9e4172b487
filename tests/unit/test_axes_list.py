"""`harness axes`: one line a value, all options of an axis that is named, one error for one that is not."""

import json

import pytest
from typer.testing import CliRunner

from harness.cli.commands import app

FACTS = {"axis": "precision", "summary": "small", "options": {}, "needs": "pip install x[y]", "here": "yes"}
ROWS = [
    FACTS | {"value": "int8", "options": {"group": {"default": 128, "about": "How many share a scale."}}},
    FACTS | {"value": "fp8", "here": "x is not installed (pip install x[y])"},
]


@pytest.fixture(autouse=True)
def _known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.api.list_axes", lambda names: ROWS)


def run(*words: str) -> str:
    left = CliRunner().invoke(app, ["axes", *words])
    assert left.exit_code == 0, left.output
    return left.stdout


def test_one_line_a_value_with_why_not() -> None:
    assert run().splitlines() == [
        "precision",
        "  int8  small  yes  needs pip install x[y]",
        "  fp8   small  no   x is not installed (pip install x[y])",
    ]


def test_a_named_axis_shows_its_options() -> None:
    assert "    group = 128  How many share a scale.\n  here: yes, needs pip install x[y]\n" in run("precision")


def test_json_is_the_rows() -> None:
    assert json.loads(run("--json")) == ROWS
