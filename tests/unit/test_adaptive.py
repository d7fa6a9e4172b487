"""Adaptive runs, decided on paper: when a run looks, who is owed more images, what a plan can tell beforehand."""

import io
import re
from collections.abc import Mapping

import pytest
from rich.console import Console

from harness.cli.tables import power_note, power_table
from harness.core.errors import MatrixError
from harness.core.matrix import Matrix, Quality
from harness.core.outcome import Completed, Failed, Image, Outcome
from harness.core.plan import OTHER_SEED_ID, RERUN_ID, Plan, Prompt, Role
from harness.core.policy import Policy
from harness.core.quality import Evaluation
from harness.core.rule import Rule
from harness.matrix import parse_matrix
from harness.planning import choose_prompt_counts, forecast_power, plan_interim_analyses
from harness.planning.interim_analyses import choose_interim_analyses, count_prompts_to_pass
from tests.builders.judged_run import COMPLETED, Known, Loss, _planned, delta, judged, verdicts
from tests.builders.scored_run import _machine, _model
from tests.unit.test_planning import plan as make

CLEAN, BAD, CLOSE = (0.001, 0.003), (0.3, 0.02), (0.045, 0.02)
ANALYSES = (24, 59, 85, 128)
CLIP, FID = "clip:bundled", "fid:bundled"


@pytest.mark.parametrize(("most", "to_pass"), [(256, 104), (5000, 104), (300, 263), (104, 104), (60, 59)])
def test_first_passing_analysis_follows_one_other(most: int, to_pass: int) -> None:
    interim_analyses = choose_interim_analyses(most, to_pass)
    assert list(interim_analyses) == sorted(set(interim_analyses))
    assert interim_analyses[-1] == most
    assert to_pass in interim_analyses
    assert interim_analyses.index(to_pass) == 1
    assert len(interim_analyses) <= 7


def test_hopeless_run_tests_only_for_failure() -> None:
    assert choose_interim_analyses(50, 104) == (20, 50)
    assert choose_interim_analyses(30, 104) == (30,)


def test_one_prompt_too_few_passes_nothing() -> None:
    cells = {name: {CLIP: CLEAN} for name in "abcd"}
    least = count_prompts_to_pass(Policy(), [_planned(name).cell for name in cells])
    assert {cell.result for cell in verdicts(cells, prompts=least).values()} == {"pass"}
    assert "pass" not in {cell.result for cell in verdicts(cells, prompts=least - 1).values()}


def test_warning_rules_do_not_delay_the_first_pass() -> None:
    cells = [_planned("a").cell]
    strict = Rule(metric=CLIP, margin=0.01, severity="warning")
    elsewhere = Rule(metric=CLIP, margin=0.01, where="no such cell")
    assert count_prompts_to_pass(Policy(gate=(Rule(margin=0.05), strict, elsewhere)), cells) == 59
    last = Policy(gate=(Rule(margin=0.05), Rule(margin=0.1)))
    assert count_prompts_to_pass(last, cells) == 29


AXES = "[axes]\nsteps = [4, 8]\n"


def test_only_adaptive_plans_have_interim_analyses() -> None:
    assert plan_interim_analyses(make(AXES)).interim_analyses == ()
    decided = plan_interim_analyses(make(AXES + '[quality]\nimages = "auto"\nmax = 90\n'))
    assert decided.interim_analyses == (29, 72, 90)
    assert len(decided.prompts) == 90
    assert any("29, 72, 90 prompts" in note for note in decided.notes)


def test_hopeless_plan_names_the_prompts_it_would_take() -> None:
    decided = plan_interim_analyses(make(AXES + '[quality]\nimages = "auto"\nmax = 50\n'))
    assert any("no cell can pass with 50 prompts" in note and "need 72" in note for note in decided.notes)


def test_prompt_limits_that_cannot_hold_are_errors() -> None:
    with pytest.raises(MatrixError, match=r"quality\.max: 101 is more than the 100 prompts"):
        make(AXES + '[quality]\nimages = "auto"\nmax = 101\n')
    with pytest.raises(MatrixError, match=r'quality\.max: means something only with quality.images = "auto"'):
        parse_matrix(f'name = "m"\n{AXES}[quality]\nmax = 10\n')
    with pytest.raises(MatrixError, match=r"quality\.images"):
        parse_matrix(f'name = "m"\n{AXES}[quality]\nimages = 100\n')


def completed(prompts: int, halted: bool = False) -> Completed:
    images = tuple(Image(prompt_id=f"p{i}", seed=0, path="", sha256="") for i in range(prompts))
    failure = Failed(kind="crash", phase="images", message="gone") if halted else None
    return COMPLETED.model_copy(update={"images": images, "halted": failure})


def planned_run(cells: Mapping[str, object]) -> Plan:
    roles: dict[str, Role] = {"baseline": "baseline", RERUN_ID: "rerun", OTHER_SEED_ID: "other-seed"}
    names = [*roles, *cells]
    planned = [_planned(name).model_copy(update={"role": roles.get(name, "candidate")}) for name in names]
    return Plan(
        run_id="r", matrix=Matrix(name="m", axes={}, quality=Quality(images="auto", rerun_prompts=40)),
        matrix_sha256="", model=_model(), machine=_machine(), baseline_id="baseline", cells=tuple(planned),
        prompts=tuple(Prompt(id=f"p{i}", text="x") for i in range(ANALYSES[-1])), interim_analyses=ANALYSES,
    )  # fmt: skip


def wanted(
    cells: Mapping[str, Mapping[str, Loss]],
    prompts: Mapping[str, int],
    outcomes: Mapping[str, Outcome] | None = None,
    missing: Mapping[str, str] | None = None,
) -> dict[str, int]:
    """Return what every cell is owed after being judged on so many prompts."""
    known = Known(interim_analyses=ANALYSES, prompts=prompts, missing=missing or {})
    deltas = tuple(delta(name, m, loss, prompts[name]) for name, found in cells.items() for m, loss in found.items())
    evaluation = Evaluation(run_id="r", scores=(), deltas=deltas, ladder=(), tails=(), blind={},
                            missing=dict(missing or {}), seconds=0)  # fmt: skip
    return choose_prompt_counts(planned_run(cells), outcomes or {}, judged(cells, known=known), evaluation)


def test_every_cell_gets_the_first_analysis() -> None:
    plan = planned_run({"a": 1, "b": 1})
    assert set(choose_prompt_counts(plan, {}, None, None).values()) == {ANALYSES[0]}


def test_only_open_cells_and_the_baseline_get_more() -> None:
    found = wanted({"a": {CLIP: CLEAN}, "b": {CLIP: BAD}, "c": {CLIP: CLOSE}}, {"a": 85, "b": 24, "c": 85})
    assert (found["a"], found["b"], found["c"]) == (85, 24, 128)
    assert found["baseline"] == 128
    assert found[RERUN_ID] == 40


def test_interrupted_round_resumes_as_the_same_round() -> None:
    cells, prompts = {"a": {CLIP: CLOSE}, "b": {CLIP: CLOSE}}, {"a": 24, "b": 24}
    before = wanted(cells, prompts, {"a": completed(24), "b": completed(24)})
    assert wanted(cells, prompts, {"a": completed(59), "b": completed(24)}) == before


def test_other_seed_grows_only_if_a_verdict_needs_it() -> None:
    prompts = {"a": 85, "b": 24}
    is_decided = {"b": {CLIP: BAD}}
    assert wanted({"a": {CLIP: CLEAN, FID: CLOSE}, **is_decided}, prompts)[OTHER_SEED_ID] == 128
    assert wanted({"a": {CLIP: CLOSE, FID: CLEAN}, **is_decided}, prompts)[OTHER_SEED_ID] == ANALYSES[0]
    failing = (0.06, 0.02)  # clip heads for a failure, which settles the cell whatever fid says
    assert wanted({"a": {CLIP: failing, FID: CLOSE}, **is_decided}, prompts)[OTHER_SEED_ID] == ANALYSES[0]


def test_unavailable_metric_ends_a_cell() -> None:
    assert wanted({"a": {CLIP: CLOSE}}, {"a": 24}, missing={FID: "no weights"})["a"] == 24
    assert wanted({"a": {CLIP: "not clearly above chance"}}, {"a": 24})["a"] == 59


def test_an_open_rule_about_time_brings_no_images() -> None:
    slow = Policy(gate=(Rule(quantity="speedup", at_least=1.5),))
    verdict = judged({"a": {CLIP: CLEAN}}, slow, known=Known(interim_analyses=ANALYSES, prompts={"a": 24}))
    assert verdict.cells[0].result == "inconclusive"
    evaluation = Evaluation(run_id="r", scores=(), deltas=(delta("a", CLIP, CLEAN, 24),), ladder=(), tails=(),
                            blind={}, missing={}, seconds=0)  # fmt: skip
    assert choose_prompt_counts(planned_run({"a": 1}), {}, verdict, evaluation)["a"] == 24


def test_halted_baseline_halts_all_cells() -> None:
    cells, prompts = {"a": {CLIP: CLOSE}, "b": {CLIP: CLOSE}}, {"a": 24, "b": 24}
    found = wanted(cells, prompts, {"a": completed(24, halted=True)})
    assert (found["a"], found["b"]) == (24, 59)
    assert not completed(24, halted=True).lacks(59)
    stopped = wanted(cells, prompts, {"baseline": completed(24, halted=True)})
    assert set(stopped.values()) == {24}


def test_a_plan_of_all_images_owes_them_at_once() -> None:
    plan = planned_run({"a": 1}).model_copy(update={"interim_analyses": ()})
    assert choose_prompt_counts(plan, {}, None, None) == {"baseline": 128, RERUN_ID: 40, OTHER_SEED_ID: 128, "a": 128}


def pilot(cells: Mapping[str, Mapping[str, Loss]], prompts: int = 100) -> Evaluation:
    deltas = tuple(delta(name, m, loss, prompts) for name, found in cells.items() for m, loss in found.items())
    return Evaluation(run_id="r", scores=(), deltas=deltas, ladder=(), tails=(), blind={}, missing={}, seconds=0)


def test_power_of_a_plan_follows_the_formula() -> None:
    plan = planned_run({"a": 1}).model_copy(update={"interim_analyses": (), "prompts": planned_run({}).prompts[:100]})
    (row,) = forecast_power(plan, pilot({"a": {CLIP: (0.02, 0.01)}}))
    reach = 1.6449 + 1.2816
    assert row.prompts_needed == pytest.approx(100 * (reach * 0.01 / 0.03) ** 2, rel=0.02)
    assert row.passes_up_to == pytest.approx(0.05 - reach * 0.01, rel=0.02)
    assert row.fails_from == pytest.approx(0.05 + reach * 0.01, rel=0.02)
    assert row.detects == pytest.approx(reach * 0.01, rel=0.02)
    assert row.decides == pytest.approx(0.912, abs=0.01)  # Φ(3 − 1.645)


def test_early_analyses_save_prompts_on_average() -> None:
    adaptive = planned_run({"a": 1})
    fixed = adaptive.model_copy(update={"interim_analyses": ()})
    rows = [forecast_power(plan, pilot({"a": {CLIP: (0.02, 0.01)}}))[0] for plan in (fixed, adaptive)]
    assert rows[0].prompts_needed is not None
    assert rows[1].prompts_needed is not None
    assert rows[0].prompts_needed < rows[1].prompts_needed < 1.3 * rows[0].prompts_needed
    assert rows[1].prompts_expected < 0.8 * rows[0].prompts_expected


def test_new_cell_is_planned_by_the_widest_spread() -> None:
    rows = forecast_power(planned_run({"new": 1, "a": 1}), pilot({"a": {CLIP: (0.02, 0.01)}, "b": {CLIP: (0.0, 0.03)}}))
    new = next(row for row in rows if row.cell_id == "new")
    assert new.seen is None
    assert new.error == pytest.approx(0.03, rel=0.05)


def test_too_few_prompts_for_rare_damage_pass_nothing() -> None:
    plan = planned_run({"a": 1}).model_copy(update={"interim_analyses": (), "prompts": planned_run({}).prompts[:50]})
    (row,) = forecast_power(plan, pilot({"a": {CLIP: (0.0, 0.001)}}))
    assert row.prompts_needed == 59
    assert row.decides == 0
    assert row.passes_up_to is None


def test_the_table_of_power_says_what_a_plan_can_tell() -> None:
    rows = forecast_power(planned_run({"new": 1, "a": 1}), pilot({"a": {CLIP: (0.02, 0.005)}}))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(power_table(rows))
    lines = console.export_text().splitlines()
    assert lines[0].split("  ")[0] == "cell"
    assert "new cell" in lines[1]
    assert re.search(r"a +clip:bundled +2\.0 % +72 prompts +\d+ % +\d\.\d % +\d\.\d % +\d\.\d %", lines[2])
    assert "at most 128" in power_note(rows)
