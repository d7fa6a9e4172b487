"""JUnit XML has the shape that CI systems read, and one case per cell and rule."""

from datetime import datetime, timezone
from pathlib import Path

import pytest

from harness.results import Run
from harness.results.junit import JUnitCase, JUnitSuite, list_gate_suites, render_junit
from tests.builders.junit_shape import parse_junit
from tests.builders.reporting_example import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return Run.load(make_run(tmp_path_factory.mktemp("junit") / "results"))


def test_gate_has_one_case_per_cell_and_rule(run: Run) -> None:
    root = parse_junit(render_junit("gate", list_gate_suites(run)))
    assert [suite.get("name") for suite in root] == [cell.id for cell in run.candidates]
    for suite, cell in zip(root, run.candidates, strict=True):
        assert len(suite) == (len(cell.verdict.rules) if cell.verdict else 1)


def test_statuses_follow_the_verdicts(run: Run) -> None:
    root = parse_junit(render_junit("gate", list_gate_suites(run)))
    found = {suite.get("name"): {child.tag for case in suite for child in case} - {"system-out"} for suite in root}
    wanted = {
        "pass": set(), "fail": {"failure"}, "inconclusive": {"error"}, "missing": {"error"}, "failed": {"error"},
        "skipped": {"skipped"}, "pending": {"error"}, "unjudged": {"error"},
    }  # fmt: skip
    for cell in run.candidates:
        assert wanted[cell.standing] <= found[cell.id]
        if cell.standing == "pass":
            assert found[cell.id] == set()


def test_names_are_unique_in_a_suite(run: Run) -> None:
    for suite in list_gate_suites(run):
        names = [case.name for case in suite.cases]
        assert len(names) == len(set(names))


def test_letters_that_xml_cannot_hold_are_replaced() -> None:
    case = JUnitCase(name="a\x00b", status="error", kind="failed", message="\x1b[31mred <&>\nsecond line")
    suite = JUnitSuite(group="m", name="c", time=datetime(2026, 1, 2, tzinfo=timezone.utc), host="h", cases=(case,))
    root = parse_junit(render_junit("x", [suite]))
    assert root.find(".//error").get("message") == "\ufffd[31mred <&>"  # type: ignore[union-attr]
    assert root[0].get("timestamp") == "2026-01-02T00:00:00"


def test_sample_run_renders(tmp_path: Path) -> None:
    folder = next(path for path in Path("results/sample").iterdir() if path.is_dir())
    parse_junit(render_junit("sample", list_gate_suites(Run.load(folder))))
