"""docs/add-a-value.md is true: its example, put in its place, is planned, run and refused like any other value."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import harness.axes.attention
from harness.api import list_axes
from harness.core.catalog import list_names
from tests.builders.cell_on_model import distance, plan_cell, run_cell

DOC = Path(__file__).parents[2] / "docs" / "add-a-value.md"


@pytest.fixture
def example(tmp_path: Path) -> Iterator[None]:
    """Put the example of the page into the folder of its axis, for one test."""
    found = re.search(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (tmp_path / "sliced.py").write_text(found[1], encoding="utf-8")
    harness.axes.attention.__path__.append(str(tmp_path))
    list_names.cache_clear()
    yield
    harness.axes.attention.__path__.remove(str(tmp_path))
    list_names.cache_clear()


def test_the_example_is_a_value_like_any_other(example: None, tiny: Callable[[str], Path], tmp_path: Path) -> None:
    rows = {row["value"]: row for row in list_axes() if row["axis"] == "attention"}
    assert rows["sliced"]["summary"] == "a few heads at a time: less memory"
    assert list(rows["sliced"]["options"]) == ["size"]
    plain = run_cell(plan_cell(tiny("sdxl"), {}), tmp_path)
    for entry in ("sliced", "sliced+size=max"):
        planned = plan_cell(tiny("sdxl"), {"attention": entry})
        assert planned.reason is None
        assert entry in planned.cell.id
        made = run_cell(planned, tmp_path)
        assert distance(made.second, plain.first) <= 1e-4
        (did,) = [did for did in made.applied if did.axis == "attention"]
        assert did.figures["layers"] > 0
    assert "attention sliced" in str(plan_cell(tiny("flux"), {"attention": "sliced"}).reason)


def test_the_example_is_short() -> None:
    found = re.search(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)
    assert found
    code = [line for line in found[1].splitlines() if line.strip() and not line.startswith(("from ", '"""'))]
    assert len(code) <= 20
