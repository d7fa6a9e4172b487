"""Waivers: exceptions in a policy that let a rule not pass, counted, named, and over on their last day."""

from datetime import date, timedelta

import pytest

from harness.core.errors import PolicyError
from harness.core.policy import Policy, Waiver
from harness.core.rule import Rule
from harness.matrix import parse_policy
from tests.builders.judged_run import Known, judged

CLEAR, BAD, OPEN = (0.0, 0.005), (0.2, 0.005), (0.05, 0.02)
SEVERAL = Policy(gate=(Rule(margin=0.05), Rule(quantity="timing-precision", at_most=0.02)))


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


def test_waived_rule_leaves_alpha_of_the_cell() -> None:
    """A missing figure takes a cell out of Holm's correction; waived, the cell takes its share again."""
    cells = {
        "8-steps": {"clip:bundled": CLEAR, "fid:bundled": "no weights here"},
        "4-steps": {"clip:bundled": CLEAR, "fid:bundled": CLEAR},
    }
    levels = {cell.cell_id: cell.rules[0].level for cell in judged(cells, waived(waiver())).cells}
    assert levels["8-steps"] in (pytest.approx(0.95), pytest.approx(0.975))
    assert min(levels.values()) == pytest.approx(0.95) or max(levels.values()) == pytest.approx(0.975)  # type: ignore[type-var]


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
