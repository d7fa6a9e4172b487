"""Two or more runs in one table: families, groups with comparable losses, published figures, the page."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import api
from harness.cli.commands import app
from harness.core.errors import UsageError
from harness.core.quality import Interval
from harness.reporting.compared_runs import compare_all, name_runs, name_technique
from harness.results import Run
from harness.stats.confidence import difference, interval, student
from harness.store.layout import RunFolder
from tests.builders.reporting_cells import CELLS
from tests.builders.reporting_example import make_run

FEW = tuple(made for made in CELLS if made.id in ("50-steps", "20-steps", "50-steps_bf16", "8-steps"))
LEDGER = """
[source]
title = "A paper"
url = "https://example.org/paper"
date = "2025"

[[claim]]
id = "halves"
what = "20 steps are twice as fast"
quantity = "speedup"
value = 2.5
candidate = { steps = 20 }
baseline = { steps = 50 }

[[claim]]
id = "elsewhere"
what = "int8 is faster"
quantity = "speedup"
value = 1.5
candidate = { precision = "int8-quanto" }
baseline = { precision = "bf16" }
"""


def edit(run: Path, change: Callable[[Any], object]) -> Path:
    path = RunFolder(run).run_json
    document = json.loads(path.read_text())
    change(document["plan"])
    path.write_text(json.dumps(document))
    return run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """The same cells on two machines, and on another model."""
    first, second, third = (make_run(tmp_path_factory.mktemp(name), FEW) for name in "abc")
    edit(second, lambda plan: plan["machine"].update(cpu="Another CPU"))
    edit(third, lambda plan: plan["model"].update(title="other", digest="f" * 64))
    return first, second, third


def test_losses_are_grouped_by_baseline(runs: tuple[Path, ...]) -> None:
    found = api.compare(*runs)
    assert [(run.letter, run.group) for run in found.runs] == [("A", "A"), ("B", "A"), ("C", "C")]
    assert len({run.title for run in found.runs}) == 3
    assert [pair.runs for pair in found.pairs] == [("A", "B"), ("A", "C")]
    assert {(item.runs, item.what.split(",")[0]) for item in found.incomparable} == {
        (("A", "B"), "latencies as an effect of the technique"),
        (("A", "C"), "losses"),
        (("B", "C"), "losses"),
        (("B", "C"), "latencies as an effect of the technique"),
    }
    assert len(found.cells) == 3 * len(FEW)
    assert any(row.on_front for row in found.cells if row.run == "C")


def test_families_are_named_by_their_settings(runs: tuple[Path, ...]) -> None:
    run = Run.load(runs[0])
    names = {cell.id: name_technique(cell) for cell in run.cells}
    assert names["50-steps"] == "baseline" and names["20-steps"] == "fewer steps"
    assert names["50-steps_bf16"] == "bf16"
    assert name_runs(28)[25:] == ("Z", "A2", "B2")


def test_differences_have_intervals(runs: tuple[Path, ...]) -> None:
    (pair,) = api.compare(*runs[:2]).pairs
    changes = [score.loss_change for cell in pair.cells for score in cell.quality]
    known = [change for change in changes if isinstance(change, Interval)]
    assert known and all(change.low <= 0 <= change.high for change in known)
    (apart,) = api.compare(runs[0], runs[2]).pairs
    assert not any(score.loss_change for cell in apart.cells for score in cell.quality)


def test_difference_of_normals_is_normal() -> None:
    first, second = student(1.0, 0.3, 10**6), student(3.0, 0.4, 10**6)
    found = interval(difference(first, second), 2.0, "test")
    assert found.low == pytest.approx(2 - 1.96 * 0.5, abs=0.02)
    assert found.high == pytest.approx(2 + 1.96 * 0.5, abs=0.02)


def test_other_definitions_form_another_group(runs: tuple[Path, ...]) -> None:
    first, second = (Run.load(run) for run in runs[:2])
    assert second.evaluation is not None
    other = [
        record.model_copy(update={"definition": record.definition.model_copy(update={"resize": "another"})})
        for record in second.evaluation.deltas
    ]
    scores = [
        record.model_copy(update={"definition": record.definition.model_copy(update={"resize": "another"})})
        for record in second.evaluation.scores
    ]
    evaluation = second.evaluation.model_copy(update={"deltas": tuple(other), "scores": tuple(scores)})
    found = compare_all((first, Run(**{**vars(second), "evaluation": evaluation})))
    assert [run.group for run in found.runs] == ["A", "B"]
    assert any("resize" in item.reason for item in found.incomparable)


def test_published_figures_stand_next_to_runs(runs: tuple[Path, ...], tmp_path: Path) -> None:
    ledger = tmp_path / "mine.toml"
    ledger.write_text(LEDGER)
    found = api.compare(*runs, ledger=ledger)
    rows = [row for row in found.published if row.claim == "halves"]
    assert [row.run for row in rows] == ["A", "B", "C"]
    assert all(row.here and row.url == "https://example.org/paper" for row in rows)
    (absent,) = (row for row in found.published if row.claim == "elsewhere")
    assert absent.here == "" and absent.reasons


def test_the_page_needs_no_network(runs: tuple[Path, ...], tmp_path: Path) -> None:
    answer = CliRunner().invoke(app, ["compare", *map(str, runs), "--out", str(tmp_path)])
    assert answer.exit_code == 7  # the third run has another model
    assert "C against A" in answer.output
    html = (tmp_path / "index.html").read_text()
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    assert not re.findall(r'(?:src|href)="(?!#|data:|https://)', markup)
    assert all(f'id="{anchor}"' in markup for anchor in re.findall(r'href="#([^"]+)"', markup))
    assert html.count('data-standing="pass"') >= 3 and 'id="chart-spec"' in html


def test_one_run_is_wrong_usage(runs: tuple[Path, ...]) -> None:
    answer = CliRunner().invoke(app, ["compare", str(runs[0])])
    assert isinstance(answer.exception, UsageError)
    assert answer.exception.exit_code == 2
