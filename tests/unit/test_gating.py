"""Verdicts: what passes, fails, cannot be told or is missing, and the sentence that says so."""

from collections.abc import Mapping

import pytest

from harness.core.axis import Setting
from harness.core.cell import Cell
from harness.core.errors import ResultsError
from harness.core.matrix import Gate, Matrix
from harness.core.plan import Plan, PlannedCell
from harness.core.quality import Definition, Delta, Evaluation, MetricKind, Uncertainty
from harness.core.units import Absent
from harness.core.verdict import CellVerdict, Judgement
from harness.gating import judge, judge_evaluation
from harness.stats.confidence import interval, student
from tests.scored_run import _machine, _model, make_scored_run

KINDS: dict[str, MetricKind] = {"clip:bundled": "alignment", "lpips:bundled": "paired", "fid:bundled": "distribution"}
Loss = tuple[float, float] | str


def delta(cell_id: str, metric: str, loss: Loss, prompts: int = 256, gates: bool = True) -> Delta:
    """A delta whose loss is (estimate, standard error), or absent for the reason given."""
    definition = Definition(
        metric=metric, kind=KINDS[metric], extractor="x", weights_sha256="", resize="none", value_range="",
        reference="the baseline at other seeds, same prompts", library="x", better="lower",
    )  # fmt: skip
    spread: Uncertainty | Absent = Absent(absent=str(loss))
    shown = spread
    if not isinstance(loss, str):
        spread = student(*loss, 255)
        shown = interval(spread, loss[0], "test")  # type: ignore[assignment]
    return Delta(
        cell_id=cell_id, metric=metric, definition=definition, baseline=1, candidate=1, literal=shown,
        literal_uncertainty=spread, loss=shown, loss_uncertainty=spread, calibration={}, n=prompts, prompts=prompts,
        gates=gates, why_not="" if gates else "reported only",
    )  # fmt: skip


def verdicts(
    cells: Mapping[str, Mapping[str, Loss]], gate: Gate | None = None, prompts: int = 256,
    blind: tuple[str, ...] = (), missing: Mapping[str, str] | None = None,
) -> dict[str, CellVerdict]:  # fmt: skip
    """Judge cells given as metric → loss."""
    judgement = judged(cells, gate, prompts, blind, missing)
    return {cell.cell_id: cell for cell in judgement.cells}


def judged(
    cells: Mapping[str, Mapping[str, Loss]], gate: Gate | None = None, prompts: int = 256,
    blind: tuple[str, ...] = (), missing: Mapping[str, str] | None = None,
) -> Judgement:  # fmt: skip
    names = ["baseline", *cells]
    planned = tuple(
        PlannedCell(
            cell=Cell(id=name, settings=(Setting(axis="steps", name="50"),), build_key=name, call_key=name),
            role="baseline" if name == "baseline" else "candidate", order=0, estimate_s=1, content_key=name,
        )
        for name in names
    )  # fmt: skip
    plan = Plan(
        run_id="r", matrix=Matrix(name="m", axes={}, gate=gate or Gate()), matrix_sha256="", model=_model(),
        machine=_machine(), prompts=(), baseline_id="baseline", cells=planned,
    )  # fmt: skip
    deltas = tuple(
        delta(name, metric, loss, prompts) for name, found in cells.items() for metric, loss in found.items()
    )
    evaluation = Evaluation(
        run_id="r", scores=(), deltas=deltas, controls=(), tails=(), blind=blind, missing=dict(missing or {}),
        seconds=0.0,
    )  # fmt: skip
    return judge_evaluation(plan, evaluation, names)


GOOD, BAD, CLOSE = (0.01, 0.005), (0.3, 0.02), (0.04, 0.02)


@pytest.mark.parametrize(("loss", "result"), [(GOOD, "pass"), (BAD, "fail"), (CLOSE, "inconclusive")])
def test_a_loss_gets_its_verdict(loss: Loss, result: str) -> None:
    assert verdicts({"a": {"clip:bundled": loss}})["a"].result == result


def test_sentences_can_be_checked_by_a_person() -> None:
    found = verdicts({"a": {"clip:bundled": GOOD, "lpips:bundled": BAD, "fid:bundled": CLOSE}})["a"]
    clip, lpips, fid = (metric.sentence for metric in found.metrics)
    assert clip == "clip:bundled lost 1.0 % [0.2, 1.8] of its range above chance: passes 5 % at 95 % confidence"
    assert lpips == (
        "lpips:bundled lost 30.0 % [26.7, 33.3] of the distance between two seeds: fails 5 % at 95 % confidence"
    )
    assert fid.startswith("fid:bundled lost 4.0 % [0.7, 7.3] of the baseline's variety: cannot be told from 5 %")
    assert fid.endswith("would settle it")
    assert found.result == "fail"
    assert found.reason == lpips


def test_the_number_of_prompts_that_would_settle_it_has_the_promised_power() -> None:
    metric = verdicts({"a": {"clip:bundled": CLOSE}})["a"].metrics[0]
    assert metric.prompts_needed is not None
    assert metric.prompts_needed == pytest.approx(256 * ((1.645 + 1.2816) * 0.02 / 0.01) ** 2, rel=0.02)


def test_an_intersection_of_metrics_needs_no_correction() -> None:
    loss = (0.04, 0.0058)  # p = 0.043
    found = verdicts({"a": {"clip:bundled": loss, "lpips:bundled": loss, "fid:bundled": loss}})["a"]
    assert found.result == "pass"
    assert all(metric.level == 0.95 for metric in found.metrics)


def test_holm_corrects_across_cells_and_says_so() -> None:
    loss = (0.04, 0.0058)
    cells: dict[str, dict[str, Loss]] = {name: {"clip:bundled": loss} for name in "abc"}
    found = verdicts(cells)
    assert [cell.result for cell in found.values()] == ["inconclusive"] * 3
    assert found["a"].metrics[0].level == pytest.approx(1 - 0.05 / 3)
    plain = verdicts(cells, Gate(correction="none"))
    assert [cell.result for cell in plain.values()] == ["pass"] * 3


def test_holm_steps_down_past_clear_passes() -> None:
    cells: dict[str, dict[str, Loss]] = {"clear": {"clip:bundled": GOOD}, "less": {"clip:bundled": (0.04, 0.0058)}}
    found = verdicts(cells)
    assert found["clear"].metrics[0].level == pytest.approx(0.975)
    assert found["less"].metrics[0].level == pytest.approx(0.95)
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


def test_a_metric_without_weights_makes_every_cell_missing_unless_the_gate_does_not_name_it() -> None:
    cells: dict[str, dict[str, Loss]] = {"a": {"clip:bundled": GOOD}}
    absent = {"fid:mlperf": "weights not found"}
    assert verdicts(cells, missing=absent)["a"].result == "missing"
    assert verdicts(cells, Gate(metrics=("clip:bundled",)), missing=absent)["a"].result == "pass"


def test_a_blind_metrics_pass_does_not_count_but_its_failure_does() -> None:
    found = verdicts({"a": {"clip:bundled": GOOD}, "b": {"clip:bundled": BAD}}, blind=("clip:bundled",))
    assert found["a"].result == "inconclusive"
    assert "no control could move this metric" in found["a"].reason
    assert found["b"].result == "fail"


def test_too_few_prompts_cannot_pass_however_clean() -> None:
    found = verdicts({"a": {"clip:bundled": (0.0, 0.0)}}, prompts=58)["a"]
    assert found.result == "inconclusive"
    assert found.metrics[0].prompts_needed == 59
    assert verdicts({"a": {"clip:bundled": (0.0, 0.0)}}, prompts=59)["a"].result == "pass"


def test_only_gating_metrics_judge() -> None:
    reported = delta("a", "lpips:bundled", BAD, gates=False)
    assert not reported.gates
    found = verdicts({"a": {"clip:bundled": GOOD}})["a"]
    assert [metric.threshold.metric for metric in found.metrics] == ["clip:bundled"]


def test_the_margin_is_the_matrixs() -> None:
    assert verdicts({"a": {"clip:bundled": CLOSE}}, Gate(margin=0.2))["a"].result == "pass"
    assert verdicts({"a": {"clip:bundled": (0.012, 0.0005)}}, Gate(margin=0.01))["a"].result == "fail"


def test_the_run_is_as_good_as_its_worst_cell() -> None:
    assert judged({"a": {"clip:bundled": GOOD}}).result == "pass"
    assert judged({"a": {"clip:bundled": GOOD}, "b": {"clip:bundled": BAD}}).result == "fail"


def test_a_run_that_was_not_evaluated_cannot_be_judged(tmp_path: object) -> None:
    run = make_scored_run(tmp_path, prompts=4)  # type: ignore[arg-type]
    with pytest.raises(ResultsError, match="not evaluated yet"):
        judge(run)
