"""Evaluation of rendered images with known damage; pixel metrics, so that no network is needed."""

import json
from pathlib import Path

import numpy as np
import pytest

from harness import damages
from harness.core.errors import ResultsError
from harness.core.outcome import Failed
from harness.core.plan import OTHER_SEED_ID, RERUN_ID
from harness.core.policy import Policy
from harness.core.quality import Delta, Evaluation
from harness.core.rule import Rule
from harness.core.units import Absent
from harness.evaluation import evaluate, keeps_trajectory, list_changed_axes, tails
from harness.evaluation.feature_store import FeatureCache
from harness.gating import judge
from harness.store import (
    features_cache_dir,
    read_evaluation,
    read_image_scores,
    read_outcomes,
    read_plan,
    write_outcome,
)
from harness.store.layout import RunFolder
from tests.builders.scored_run import PAIRED, make_scored_run, washed_out

POLICY = Policy(gate=tuple(Rule(metric=name, margin=0.05) for name in PAIRED))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return features_cache_dir()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scored_run(tmp_path_factory.mktemp("scored"), prompts=120, policy=POLICY)


@pytest.fixture(scope="module")
def evaluation(run: Path) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(run.parent / "cache"))
        return evaluate(run)


def find(evaluation: Evaluation, cell: str, metric: str) -> Delta:
    return next(delta for delta in evaluation.deltas if (delta.cell_id, delta.metric) == (cell, metric))


def loss(evaluation: Evaluation, cell: str, metric: str = "ssim") -> float:
    found = find(evaluation, cell, metric).loss
    assert not isinstance(found, Absent)
    return found.estimate


def test_unchanged_cell_loses_nothing_damaged_one_much(evaluation: Evaluation) -> None:
    assert loss(evaluation, "same") == 0
    assert 0 < loss(evaluation, "faint", "psnr") < 0.01
    assert loss(evaluation, "washed-out") > 0.3


def test_numbers_are_finite_and_absences_have_reasons(run: Path, evaluation: Evaluation) -> None:
    text = evaluation.model_dump_json()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert ": null" not in text
    assert read_evaluation(run) == evaluation
    literal = find(evaluation, "same", "psnr").literal
    assert isinstance(literal, Absent)
    assert literal.absent


def test_deltas_hold_their_anchors_and_counts(evaluation: Evaluation) -> None:
    delta = find(evaluation, "faint", "ssim")
    assert delta.n == delta.prompts == 120
    assert delta.calibration["floor"] == 0
    assert delta.calibration["other seed"] > 0.05
    assert delta.baseline == 1
    assert delta.candidate < 1


def test_paired_metrics_need_a_kept_trajectory(run: Path, evaluation: Evaluation) -> None:
    plan = read_plan(run)
    kept = {cell.id: keeps_trajectory(plan, cell.cell) for cell in plan.compared}
    assert kept == {
        "baseline": True,
        "same": True,
        "faint": True,
        "washed-out": True,
        "swapped": False,
        "doubled": False,
    }
    assert list_changed_axes(plan, plan.find("swapped").cell) == ("steps",)
    assert find(evaluation, "faint", "ssim").if_named
    assert not find(evaluation, "swapped", "ssim").if_named
    assert "steps changes the denoising trajectory" in find(evaluation, "swapped", "ssim").why_not


def test_pixel_metrics_judge_only_if_named(tmp_path: Path) -> None:
    delta = find(evaluate(make_scored_run(tmp_path, prompts=12)), "faint", "ssim")
    assert not delta.gates
    assert "judges where a rule names it" in delta.why_not


def test_scores_say_which_prompts_were_cut(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12, metrics=("clip:bundled", "psnr"), candidates={})
    short = read_plan(run).prompts[3].text
    file = RunFolder(run).run_json
    file.write_text(file.read_text().replace(f'"{short}"', f'"{short} {short} {short}"'))
    notes = {score.definition.metric: score.definition.notes for score in evaluate(run).scores}
    assert notes["psnr"] == ()
    (note,) = notes["clip:bundled"]
    assert note.startswith("1 of 12 prompts")
    assert note.endswith(" p003")


def test_images_of_other_sizes_are_resized(evaluation: Evaluation) -> None:
    assert loss(evaluation, "doubled", "psnr") < 0.01


def test_every_metric_notices_a_strong_damage(evaluation: Evaluation) -> None:
    assert evaluation.blind == {}
    assert evaluation.not_monotone == {}
    strong = {(rung.damage, rung.metric) for rung in evaluation.ladder if rung.level == 5}
    assert {("blur", "ssim"), ("jpeg", "ssim"), ("blur", "psnr"), ("jpeg", "psnr")} <= strong


def test_identical_images_lose_nothing(evaluation: Evaluation) -> None:
    identical = [rung for rung in evaluation.ladder if rung.damage == "identical"]
    assert {rung.metric for rung in identical} == set(PAIRED)
    assert all(rung.loss.estimate == 0 for rung in identical)  # type: ignore[union-attr]


def test_metric_with_a_loss_on_copies_judges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A metric that sees the same pixels differently the second time, as a net that is not deterministic would."""
    monkeypatch.setattr(damages, "copied", washed_out)
    run = make_scored_run(tmp_path, prompts=12, policy=POLICY)
    found = evaluate(run)
    assert "identical images" in found.missing["ssim"]
    assert {delta.metric for delta in found.deltas}.isdisjoint(found.missing)
    assert {cell.result for cell in judge(run).cells} == {"missing"}


def test_tails_name_the_worst_images(evaluation: Evaluation) -> None:
    tail = next(tail for tail in evaluation.tails if tail.cell_id == "washed-out")
    assert tail.broken == 0
    assert 0.02 < tail.broken_share_high < 0.03
    assert len(tail.worst) == 10
    assert [image.value for image in tail.worst] == sorted(image.value for image in tail.worst)
    same = next(tail for tail in evaluation.tails if tail.cell_id == "same")
    assert same.worst == ()


def test_black_images_are_broken(tmp_path: Path) -> None:
    from harness.core.axis import Setting

    def blacken_some(images: np.ndarray) -> np.ndarray:
        changed = images.copy()
        changed[:3] = 0
        return changed

    setting = Setting(axis="precision", name="bf16")
    run = make_scored_run(tmp_path, prompts=20, candidates={"dark": (setting, blacken_some)})
    found = {tail.cell_id: tail for tail in evaluate(run).tails}
    assert found["baseline"].broken == 0
    assert found["dark"].broken == 3
    assert found["dark"].broken_share_high == pytest.approx(0.344, abs=0.01)


@pytest.mark.parametrize("together", [True, False])
def test_broken_image_bound_holds_for_joint_seeds(together: bool) -> None:
    rng, share, seeds, prompts = np.random.default_rng(0), 0.04, 4, 100
    broken = rng.random((2000, prompts, 1 if together else seeds)) < share
    counts = np.broadcast_to(broken, (2000, prompts, seeds)).sum(axis=(1, 2))
    covered = np.mean([tails._share_high(int(count), prompts * seeds, seeds) >= share for count in counts])
    assert covered >= 0.95 - 2 * np.sqrt(0.05 * 0.95 / 2000)


def test_scores_of_single_images_are_stored(run: Path, evaluation: Evaluation) -> None:
    definition, rows = read_image_scores(run, "psnr")
    assert definition.metric == "psnr"
    assert len(rows) == 120 * 6
    assert max(value for *_, value in rows) == 100.0


def test_verdicts_follow(run: Path, evaluation: Evaluation) -> None:
    found = {cell.cell_id: cell.result for cell in judge(run).cells}
    assert found["same"] == "pass"
    assert found["washed-out"] == "fail"
    assert found["swapped"] == found["doubled"] == "missing"


def test_seeds_of_one_prompt_are_one_unit(tmp_path: Path) -> None:
    delta = find(evaluate(make_scored_run(tmp_path, prompts=12, seeds=3, policy=POLICY)), "faint", "ssim")
    assert (delta.n, delta.prompts) == (36, 12)


def test_a_second_evaluation_looks_at_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    first = evaluate(run)
    monkeypatch.setattr("harness.evaluation.feature_store.read_images", lambda *_: pytest.fail("looked again"))
    assert evaluate(run).deltas == first.deltas


def test_a_damaged_cache_is_begun_anew(tmp_path: Path, own_cache: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    first = evaluate(run)
    for file in own_cache.iterdir():
        file.write_bytes(b"damaged" * 1000)
    assert evaluate(run).deltas == first.deltas


def test_unwritable_feature_cache_is_skipped(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    cache = FeatureCache(blocked / "folder")
    cache.put("x", [("key", np.ones(3, dtype=np.float32))])
    assert cache.get("x", ["key"]) == {}
    cache.close()


def test_progress_reaches_its_total(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    evaluate(make_scored_run(tmp_path, prompts=12), advance=lambda *step: told.append(step))
    images = [step for step in told if step[0] == "images"]
    assert images[-1][1] == images[-1][2]


def test_without_other_seed_losses_are_absent(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    write_outcome(run, OTHER_SEED_ID, Failed(kind="error", phase="images", message="x"))
    found = find(evaluate(run), "faint", "ssim").loss
    assert isinstance(found, Absent)
    assert "other-seed" in found.absent


def test_without_a_rerun_the_floor_counts_as_zero(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    write_outcome(run, RERUN_ID, Failed(kind="error", phase="images", message="x"))
    assert find(evaluate(run), "faint", "ssim").calibration["floor"] == 0


def test_few_prompts_give_no_interval(tmp_path: Path) -> None:
    found = find(evaluate(make_scored_run(tmp_path, prompts=4)), "faint", "ssim").loss
    assert isinstance(found, Absent)
    assert "10 prompts" in found.absent


@pytest.mark.parametrize("damage", ["truncated", "other bytes", "gone"])
def test_a_damaged_image_is_named_with_what_to_do(tmp_path: Path, damage: str) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    path = sorted(RunFolder(run).images("faint").iterdir())[3]
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:100] if damage == "truncated" else b"\x89PNG nonsense")
    with pytest.raises(ResultsError) as caught:
        evaluate(run)
    assert str(path) in str(caught.value)
    assert "Delete that cell's folder" in str(caught.value)


def test_cell_with_other_images_is_refused(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    path = RunFolder(run).outcome("faint")
    document = json.loads(path.read_text())
    document["images"] = document["images"][1:]
    path.write_text(json.dumps(document))
    with pytest.raises(ResultsError, match=r"1 missing, such as \('p000', 0\)"):
        evaluate(run)


def test_without_a_baseline_nothing_can_be_compared(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    write_outcome(run, "baseline", Failed(kind="crash", phase="load", message="x"))
    with pytest.raises(ResultsError, match="baseline baseline did not complete"):
        evaluate(run)


def test_failed_cells_are_left_out(tmp_path: Path) -> None:
    run = make_scored_run(tmp_path, prompts=12)
    write_outcome(run, "faint", Failed(kind="crash", phase="load", message="x"))
    assert "faint" not in {delta.cell_id for delta in evaluate(run).deltas}
    assert len(read_outcomes(run)) == 8
