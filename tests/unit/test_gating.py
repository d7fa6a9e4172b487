"""Verdicts: what passes, fails, is inconclusive or missing, and the sentence that says so."""

import pytest

from harness.core.errors import ResultsError
from harness.core.policy import Policy
from harness.core.rule import Rule
from harness.gating import judge
from tests.builders.judged_run import Known, Loss, judged, verdicts
from tests.builders.scored_run import make_scored_run

GOOD, BAD, CLOSE = (0.01, 0.005), (0.3, 0.02), (0.04, 0.02)


@pytest.mark.parametrize(("loss", "result"), [(GOOD, "pass"), (BAD, "fail"), (CLOSE, "inconclusive")])
def test_a_loss_gets_its_verdict(loss: Loss, result: str) -> None:
    assert verdicts({"a": {"clip:bundled": loss}})["a"].result == result


def test_sentences_can_be_checked_by_a_person() -> None:
    found = verdicts({"a": {"clip:bundled": GOOD, "lpips:bundled": BAD, "fid:bundled": CLOSE}})["a"]
    clip, lpips, fid = (metric.sentence for metric in found.rules)
    assert clip == "clip:bundled lost 1.0 % [0.2, 1.8] of its range above chance: passes 5 % at 95 % confidence"
    assert lpips == (
        "lpips:bundled lost 30.0 % [26.7, 33.3] of the distance between two seeds: fails 5 % at 95 % confidence"
    )
    assert fid.startswith("fid:bundled lost 4.0 % [0.7, 7.3] of the baseline's variety: inconclusive against 5 %")
    assert fid.endswith("would decide")
    assert found.result == "fail"
    assert found.reason == lpips


def test_required_prompts_have_the_promised_power() -> None:
    metric = verdicts({"a": {"clip:bundled": CLOSE}})["a"].rules[0]
    assert metric.prompts_needed is not None
    assert metric.prompts_needed == pytest.approx(256 * ((1.645 + 1.2816) * 0.02 / 0.01) ** 2, rel=0.02)


def test_intersection_of_metrics_needs_no_correction() -> None:
    loss = (0.04, 0.0058)  # p = 0.043
    found = verdicts({"a": {"clip:bundled": loss, "lpips:bundled": loss, "fid:bundled": loss}})["a"]
    assert found.result == "pass"
    assert all(metric.level == 0.95 for metric in found.rules)


def test_holm_corrects_across_cells_and_says_so() -> None:
    loss = (0.04, 0.0058)
    cells: dict[str, dict[str, Loss]] = {name: {"clip:bundled": loss} for name in "abc"}
    found = verdicts(cells)
    assert [cell.result for cell in found.values()] == ["inconclusive"] * 3
    assert found["a"].rules[0].level == pytest.approx(1 - 0.05 / 3)
    plain = verdicts(cells, Policy(correction="none"))
    assert [cell.result for cell in plain.values()] == ["pass"] * 3


def test_holm_steps_down_past_clear_passes() -> None:
    cells: dict[str, dict[str, Loss]] = {"clear": {"clip:bundled": GOOD}, "less": {"clip:bundled": (0.04, 0.0058)}}
    found = verdicts(cells)
    assert found["clear"].rules[0].level == pytest.approx(0.975)
    assert found["less"].rules[0].level == pytest.approx(0.95)
    assert {cell.result for cell in found.values()} == {"pass"}


def test_a_failure_is_not_corrected() -> None:
    cells: dict[str, dict[str, Loss]] = {str(i): {"clip:bundled": CLOSE} for i in range(10)}
    found = verdicts(cells | {"bad": {"clip:bundled": (0.09, 0.02)}})
    assert found["bad"].result == "fail"


@pytest.mark.parametrize(
    ("losses", "result"),
    [
        ({"clip:bundled": GOOD, "fid:bundled": "no other seed"}, "missing"),
        ({"clip:bundled": BAD, "fid:bundled": "no other seed"}, "fail"),
        ({"clip:bundled": CLOSE, "fid:bundled": "no other seed"}, "missing"),
        ({}, "missing"),
    ],
)
def test_a_missing_score_is_never_a_pass(losses: dict[str, Loss], result: str) -> None:
    found = verdicts({"a": losses})["a"]
    assert found.result == result
    assert found.reason


def test_metric_without_weights_makes_cells_missing() -> None:
    cells: dict[str, dict[str, Loss]] = {"a": {"clip:bundled": GOOD}}
    absent = {"fid:mlperf": "weights not found"}
    assert verdicts(cells, known=Known(missing=absent))["a"].result == "missing"
    named = Policy(gate=(Rule(metric="clip:bundled", margin=0.05),))
    assert verdicts(cells, named, known=Known(missing=absent))["a"].result == "pass"


def test_blind_pass_does_not_count_but_failure_does() -> None:
    found = verdicts({"a": {"clip:bundled": GOOD}, "b": {"clip:bundled": BAD}}, known=Known(blind=("clip:bundled",)))
    assert found["a"].result == "inconclusive"
    assert "its pass does not count" in found["a"].reason
    assert found["b"].result == "fail"


def test_too_few_prompts_cannot_pass_however_clean() -> None:
    found = verdicts({"a": {"clip:bundled": (0.0, 0.0)}}, prompts=58)["a"]
    assert found.result == "inconclusive"
    assert found.rules[0].prompts_needed == 59
    assert verdicts({"a": {"clip:bundled": (0.0, 0.0)}}, prompts=59)["a"].result == "pass"


def test_too_few_images_name_the_number_that_suffices() -> None:
    """Bounds that narrow as noise does would take more; the allowance for few images is gone at 2,049 prompts."""
    known = Known(resolved_from={"fid:bundled": 2049})
    wide = (0.01, 0.09)
    found = verdicts({"a": {"fid:bundled": wide}}, known=known)["a"]
    assert found.result == "inconclusive"
    assert (
        found.rules[0].prompts_needed
        == 2049
        < (verdicts({"a": {"fid:bundled": wide}})["a"].rules[0].prompts_needed or 0)
    )
    assert found.reason.endswith(
        "inconclusive against 5 % with 256 prompts, too few for the variety that this metric measures;"
        " about 2,049 would decide"
    )
    sooner = verdicts({"a": {"fid:bundled": (0.02, 0.02)}}, known=known)["a"].rules[0].prompts_needed
    assert sooner is not None
    assert 256 < sooner < 2049
    assert verdicts({"a": {"fid:bundled": GOOD}}, known=known)["a"].result == "pass"
    assert verdicts({"a": {"fid:bundled": BAD}}, known=known)["a"].result == "fail"
    assert verdicts({"a": {"clip:bundled": wide}}, known=known)["a"].reason.endswith("would decide")


def test_only_gating_metrics_judge() -> None:
    found = verdicts({"a": {"clip:bundled": GOOD, "lpips:bundled": BAD}}, known=Known(kept={"lpips:bundled": False}))
    assert found["a"].result == "pass"
    assert [rule.metric for rule in found["a"].rules] == ["clip:bundled"]


def test_a_loss_exactly_on_the_margin_fails() -> None:
    assert verdicts({"a": {"clip:bundled": (0.05, 0.0)}})["a"].result == "fail"


def test_the_margin_is_the_policys() -> None:
    assert verdicts({"a": {"clip:bundled": CLOSE}}, Policy(gate=(Rule(margin=0.2),)))["a"].result == "pass"
    assert verdicts({"a": {"clip:bundled": (0.012, 0.0005)}}, Policy(gate=(Rule(margin=0.01),)))["a"].result == "fail"


def test_the_run_is_as_good_as_its_worst_cell() -> None:
    assert judged({"a": {"clip:bundled": GOOD}}).result == "pass"
    assert judged({"a": {"clip:bundled": GOOD}, "b": {"clip:bundled": BAD}}).result == "fail"


def test_a_run_that_was_not_evaluated_cannot_be_judged(tmp_path: object) -> None:
    run = make_scored_run(tmp_path, prompts=4)  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="not evaluated yet"):
        judge(run)
