"""Recommendations: only cells that may ship, ordered by what they surely keep, and what misses a limit by how much."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli.commands import app
from harness.core.errors import NothingToDo, ResultsError, UsageError
from harness.core.units import Absent
from harness.deploying import recommend as recommend_run
from harness.deployment import Constraints, Nearest, Pick, parse_constraints, recommend
from harness.deployment.ranking import RankedCells
from harness.results import Run

SAMPLE = next((Path(__file__).parents[2] / "results" / "sample").glob("2*"))
FASTEST = "8-steps_fp32"
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def run() -> Run:
    return Run.load(SAMPLE)


def test_fastest_cell_by_its_sure_bound(run: Run) -> None:
    found = recommend(run)
    assert isinstance(found.answer, Pick)
    assert (found.answer.cell, found.answer.runner_up) == (FASTEST, "12-steps_fp32")
    assert found.answer.figure.bound == pytest.approx(0.3425, rel=0.01)


def test_only_cells_that_may_ship(run: Run) -> None:
    picks = [row.pick for row in recommend(run).situations if isinstance(row.pick, Pick)]
    assert len(picks) == 4
    assert all(run.cell(pick.cell).standing in ("pass", "baseline") for pick in picks)


def test_ties_go_to_the_likelier_pareto_cell(run: Run) -> None:
    cells = [cell for cell in run.cells if cell.standing in ("pass", "baseline")]
    ranked = RankedCells(cells, "memory")
    assert {cell.id for cell in ranked.tied} == {cell.id for cell in cells}  # within 5 % of each other
    points = [cell.pareto_point for cell in ranked.tied]
    chances = [point.probability for point in points if point]
    assert chances == sorted(chances, reverse=True)


def test_imprecise_cell_does_not_lead(run: Run) -> None:
    cells = [run.cell(FASTEST), run.cell("12-steps_fp32")]
    assert [cell.id for cell in RankedCells(cells, "latency").tied] == [FASTEST]


def test_unmet_limits_name_the_nearest(run: Run) -> None:
    found = recommend(run, Constraints(latency_s=0.1, requests_per_s=12)).answer
    assert isinstance(found, Nearest) and found.cell == FASTEST
    assert found.excess == pytest.approx(12 * 0.3425 - 1, rel=0.01)
    assert len(found.unmet) == 2


def test_met_limits_name_what_may_not_ship(run: Run) -> None:
    found = recommend(run, Constraints(latency_s=0.35))
    assert isinstance(found.answer, Pick) and found.answer.cell == FASTEST
    assert any(text.startswith("2-steps_lcm-lora_fp32: fail") for text in found.would_meet)


def test_default_is_checked_part_by_part(run: Run) -> None:
    check = recommend(run).default
    assert check.finding == "contradicted"
    assert {part.name: part.finding for part in check.ingredients} == {
        "4 steps": "contradicted", "compiled": "open", "16 bit": "contradicted",
        "TensorRT above 10 requests/s": "not measured",
    }  # fmt: skip


def test_missing_situations_say_so(run: Run) -> None:
    rows = {row.name: row for row in recommend(run).situations}
    assert isinstance(rows["repeated prompts"].pick, Absent) and isinstance(rows["Apple device"].pick, Absent)
    assert any("serving" in text for text in rows["many concurrent requests"].unmeasured)


def test_another_policy_judges_without_storing(tmp_path: Path) -> None:
    run = shutil.copytree(SAMPLE, tmp_path / SAMPLE.name)
    before = (run / "verdicts.json").read_bytes()
    policy = tmp_path / "loose.toml"
    policy.write_text('about = "half"\n[[gate]]\nmargin = 0.5\n', encoding="utf-8")
    found = recommend_run(run, Constraints(policy=str(policy)))
    assert isinstance(found.answer, Pick) and found.answer.cell.startswith("2-steps")
    assert (run / "verdicts.json").read_bytes() == before


def test_what_cannot_be_recommended_is_refused(run: Run) -> None:
    with pytest.raises(ResultsError, match="no verdicts"):
        recommend(replace(run, judgement=None))
    with pytest.raises(UsageError, match="no prices"):
        recommend(run, Constraints(cheapest=True))
    random = run.plan.model.model_copy(update={"quality_applies": False})
    with pytest.raises(NothingToDo):
        recommend(replace(run, plan=run.plan.model_copy(update={"model": random})))


@pytest.mark.parametrize(
    ("latency", "memory", "rps", "option"),
    [("500", None, None, "--latency"), ("0ms", None, None, "--latency"), (None, "16 parsecs", None, "--memory"),
     (None, None, -1.0, "--rps")],
)  # fmt: skip
def test_limits_without_meaning_are_refused(
    latency: str | None, memory: str | None, rps: float | None, option: str
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_constraints(latency, memory, rps, None, False)
    assert caught.value.where == option


def test_limits_are_read_with_their_units() -> None:
    found = parse_constraints("500ms", "16GiB", 12.0, None, False)
    assert (found.latency_s, found.memory_bytes, found.requests_per_s) == (0.5, 16 * 2**30, 12.0)


def test_command_exits_3_if_nothing_meets_the_limits() -> None:
    good = RUNNER.invoke(app, ["recommend", str(SAMPLE), "--json"])
    assert good.exit_code == 0 and json.loads(good.stdout)["answer"]["cell"] == FASTEST
    bad = RUNNER.invoke(app, ["recommend", str(SAMPLE), "--latency", "1ms"])
    assert bad.exit_code == 3 and FASTEST in bad.stdout
