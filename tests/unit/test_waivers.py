"""Waivers: exceptions in a policy that let a rule not pass, counted, named, and over on their last day."""

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from harness.core.errors import PolicyError
from harness.core.policy import Policy, Waiver
from harness.core.verdict import Judgement
from harness.gating import judge_run
from harness.matrix import parse_policy
from harness.reporting.page import build_page, render_text
from harness.results import Run
from harness.results.columns import make_rows
from harness.results.junit import list_gate_suites
from tests.builders.judged_run import Known, judged
from tests.builders.reporting_example import make_run

CLEAR, BAD, OPEN = (0.0, 0.005), (0.2, 0.005), (0.05, 0.02)


def waiver(rule: str = "loss of fid", cell: str = "8-steps", days: int = 1) -> Waiver:
    until = date.today() + timedelta(days)
    return Waiver(cell=cell, rule=rule, why="accepted for the demo", who="Ada", until=until)


def waived(*waivers: Waiver, policy: Policy | None = None) -> Policy:
    return (policy or Policy()).model_copy(update={"waive": waivers})


@pytest.mark.parametrize("loss", [BAD, OPEN, "no weights here"], ids=["fail", "inconclusive", "missing"])
def test_waived_rule_does_not_decide(loss: object) -> None:
    cells = {"8-steps": {"clip:bundled": CLEAR, "fid:bundled": loss}}
    assert judged(cells).result != "pass"  # type: ignore[arg-type]
    found = judged(cells, waived(waiver()))  # type: ignore[arg-type]
    (cell,) = found.cells
    assert cell.result == "pass"
    assert [verdict.metric for verdict in cell.waived] == ["fid:bundled"]
    assert cell.waived[0].result != "pass"
    assert found.waivers == (waiver(),)


@pytest.mark.parametrize("other", [waiver(cell="4-steps"), waiver(rule="loss of clip"), waiver(rule="speedup")])
def test_waiver_covers_its_cell_and_rule_only(other: Waiver) -> None:
    cells = {"8-steps": {"clip:bundled": CLEAR, "fid:bundled": BAD}, "4-steps": {"clip:bundled": CLEAR}}
    found = judged(cells, waived(other))
    assert {cell.cell_id: cell.result for cell in found.cells} == {"8-steps": "fail", "4-steps": "pass"}
    assert found.waivers == ()
    assert any("not needed" in note for note in found.notes)


def test_waiver_holds_through_its_last_day() -> None:
    cells = {"8-steps": {"clip:bundled": CLEAR, "fid:bundled": BAD}}
    assert judged(cells, waived(waiver(days=0))).result == "pass"
    over = judged(cells, waived(waiver(days=-2)))
    assert over.result == "fail"
    assert any("expired" in note for note in over.notes)


def test_all_rules_waived_is_missing() -> None:
    found = judged({"8-steps": {"fid:bundled": BAD}}, waived(waiver("loss")))
    assert found.result == "missing"


def test_waived_cell_takes_part_in_the_correction() -> None:
    """A missing figure takes a cell out of Holm's correction; waived, the cell needs its share of alpha."""
    cells = {
        "8-steps": {"clip:bundled": CLEAR, "fid:bundled": "no weights here"},
        "4-steps": {"clip:bundled": OPEN, "fid:bundled": OPEN},
    }

    def level(found: Judgement) -> float | None:
        return next(cell for cell in found.cells if cell.cell_id == "4-steps").rules[0].level

    assert level(judged(cells)) == pytest.approx(0.95)
    both_open = cells | {"8-steps": {"clip:bundled": OPEN, "fid:bundled": "no weights here"}}
    assert level(judged(both_open)) == pytest.approx(0.95)
    assert level(judged(both_open, waived(waiver()))) == pytest.approx(0.975)


def test_unknown_cell_is_noted() -> None:
    found = judged({"8-steps": {"clip:bundled": CLEAR}}, waived(waiver(cell="8-step")))
    assert any("8-steps" in note for note in found.notes)


def test_blind_pass_needs_its_own_waiver() -> None:
    demanding = Policy.model_validate({"sees": [{"damage": "blur", "level": 3}]})
    cells = {"8-steps": {"clip:bundled": CLEAR}}
    assert judged(cells, demanding, known=Known()).result == "inconclusive"
    (cell,) = judged(cells, waived(waiver("sees"), policy=demanding)).cells
    assert (cell.result, cell.blind_to, len(cell.waivers)) == ("pass", ("blur",), 1)


def test_policy_file_has_waivers() -> None:
    table = '[[waive]]\ncell = "8-steps"\nrule = "loss of fid:bundled"\nwhy = "w"\nwho = "Ada"\nuntil = 2027-03-01\n'
    policy = parse_policy(f"[[gate]]\nmargin = 0.05\n{table}", "mine")
    assert policy.waive[0].until == date(2027, 3, 1)
    assert Policy.model_validate_json(policy.model_dump_json()) == policy


def test_waiver_mistakes_are_named() -> None:
    table = '[[waive]]\ncell = "a"\nrule = "{}"\nwhy = ""\nwho = "Ada"\nuntil = "soon"\n'
    with pytest.raises(PolicyError) as caught:
        parse_policy("[[gate]]\nmargin = 0.05\n" + table.format("loss"), "mine")
    assert {"waive.0.why", "waive.0.until"} <= {problem.partition(":")[0] for problem in caught.value.problems}
    good = table.replace('""', '"w"').replace('"soon"', "2027-03-01")
    for rule in ("los", "speedup of fid", "loss of fidd"):
        with pytest.raises(PolicyError, match=r"waive\.0\.rule"):
            parse_policy("[[gate]]\nmargin = 0.05\n" + good.format(rule), "mine")
    with pytest.raises(PolicyError, match=r"waive\.1"):
        parse_policy("[[gate]]\nmargin = 0.05\n" + good.format("loss") * 2, "mine")


def test_reports_count_and_name_waivers(tmp_path: Path) -> None:
    run = Run.load(make_run(tmp_path / "results"))
    assert run.judgement is not None
    cell = next(cell for cell in run.judgement.cells if {"pass", "fail"} <= {judged.result for judged in cell.errors})
    broken = [judged for judged in cell.errors if judged.result != "pass"]
    accepted = tuple(waiver(f"{judged.rule.quantity} of {judged.metric}", cell.cell_id) for judged in broken)
    policy = waived(*accepted, waiver("sees", cell.cell_id), policy=run.policy)
    run = replace(run, judgement=judge_run(run, policy))
    verdict = run.verdicts[cell.cell_id]
    assert (verdict.result, set(accepted) <= set(verdict.waivers)) == ("pass", True)
    page = build_page(run, 0.0)
    row = next(row for row in page.table.rows if row.id == cell.cell_id)
    assert row.waived.startswith(str(verdict.waiver_count))
    alarms = [alarm.value for alarm in page.alarms if alarm.name.startswith("Waiver")]
    assert alarms == list(map(str, verdict.waivers))
    assert "waiver" in page.answer.headline
    assert str(accepted[0].until) in render_text("report.md.j2", page)
    assert {row["cell"]: row["waivers"] for row in make_rows(run)}[cell.cell_id] == verdict.waiver_count
    cases = next(suite for suite in list_gate_suites(run) if suite.name == cell.cell_id).cases
    assert [case.kind for case in cases if case.status == "skipped"] == ["waived"] * len(accepted)
