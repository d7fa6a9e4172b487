"""Correctness, fidelity and the damage ladder on rendered images: what passes, what fails, what is refused."""

from pathlib import Path

import numpy as np
import pytest

from harness import damages, shapes_world
from harness.core.axis import Setting
from harness.core.policy import FAMILIES, Policy
from harness.core.quality import Delta, Evaluation
from harness.core.units import Absent
from harness.core.verdict import CellVerdict
from harness.evaluation import evaluate, feature_store, ladder
from harness.evaluation.image_sets import pair_with_other_prompts
from harness.evaluation.ladder import SATURATED
from harness.gating import judge
from harness.matrix import load_policy
from harness.reporting import write_report
from tests.builders.scored_run import Change, make_scored_run

METRICS = ("attributes:bundled", "detail", "colour", "odd-images")
FIVE_PERCENT = load_policy("five-percent").model_copy(update={"correction": "none"})
STEPS = Setting(axis="steps", name="4")


def every_tenth_swapped(images: np.ndarray) -> np.ndarray:
    changed = images.copy()
    changed[::10] = np.roll(images, 5, axis=0)[::10]
    return changed


def faded(images: np.ndarray) -> np.ndarray:
    """A third of the way to the background, everywhere: an effect that no family of the ladder has."""
    ground = images[:, :1, :1].astype(float)
    return (images + (ground - images) / 3).round().astype(np.uint8)


def grain(images: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 6, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)


def soft(images: np.ndarray) -> np.ndarray:
    return damages.apply_damage(images, "blur:3")


def one_level(images: np.ndarray) -> np.ndarray:
    return np.clip(images.astype(int) + 1, 0, 255).astype(np.uint8)


CANDIDATES: dict[str, Change] = {
    "one-level": one_level,
    "swapped": every_tenth_swapped,
    "faded": faded,
    "grain": grain,
    "soft": soft,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    candidates = {name: (STEPS, change) for name, change in CANDIDATES.items()}
    root = tmp_path_factory.mktemp("ladder")
    return make_scored_run(root, prompts=256, metrics=METRICS, policy=FIVE_PERCENT, candidates=candidates)


@pytest.fixture(scope="module")
def evaluation(run: Path) -> Evaluation:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(run.parent / "cache"))
        return evaluate(run)


@pytest.fixture(scope="module")
def verdicts(run: Path, evaluation: Evaluation) -> dict[str, CellVerdict]:
    return {cell.cell_id: cell for cell in judge(run).cells}


def loss(evaluation: Evaluation, cell: str, metric: str) -> float:
    found = next(delta for delta in evaluation.deltas if (delta.cell_id, delta.metric) == (cell, metric)).loss
    assert not isinstance(found, Absent), found.absent
    return found.estimate


def test_swapped_images_lose_their_share(evaluation: Evaluation) -> None:
    swapped = next(d for d in evaluation.deltas if (d.cell_id, d.metric) == ("swapped", "attributes:bundled"))
    assert swapped.baseline > 0.98  # the attribute net is right on real renders
    assert swapped.calibration["chance"] < 0.02
    assert loss(evaluation, "swapped", "attributes:bundled") == pytest.approx(0.1, abs=0.02)


def test_harmless_changes_pass_and_damages_fail(verdicts: dict[str, CellVerdict]) -> None:
    assert verdicts["one-level"].result == "pass"
    assert {name: verdicts[name].result for name in ("swapped", "faded", "grain", "soft")} == dict.fromkeys(
        ("swapped", "faded", "grain", "soft"), "fail"
    )
    assert "of correct images" in verdicts["swapped"].reason


def test_ladder_is_noticed_and_monotone(evaluation: Evaluation, verdicts: dict[str, CellVerdict]) -> None:
    assert evaluation.not_monotone == {}
    assert evaluation.blind == {}
    assert {rung.damage for rung in evaluation.ladder} == {*FAMILIES, "identical"}
    assert verdicts["one-level"].blind_to == ()
    for family in ("blur", "scaling", "jpeg", "noise", "sharpening"):
        rungs = [rung for rung in evaluation.ladder if (rung.damage, rung.metric) == (family, "detail")]
        losses = [rung.loss.estimate for rung in sorted(rungs, key=lambda rung: rung.level)]  # type: ignore[union-attr]
        below = [min(loss, SATURATED) for loss in losses]
        assert below == sorted(below), family


def test_a_set_that_sees_no_colour_is_blind_to_it(tmp_path: Path) -> None:
    candidates = {"one-level": (STEPS, one_level)}
    run = make_scored_run(tmp_path, prompts=128, metrics=("detail",), policy=FIVE_PERCENT, candidates=candidates)
    evaluate(run)
    (verdict,) = judge(run).cells
    assert verdict.result == "inconclusive"
    assert {"saturation", "hue", "wrong-prompt", "collapse"} <= set(verdict.blind_to)
    assert "blur" not in verdict.blind_to


def test_a_second_evaluation_looks_at_no_image(
    run: Path, evaluation: Evaluation, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an image was decoded")

    monkeypatch.setenv("XDG_CACHE_HOME", str(run.parent / "cache"))
    monkeypatch.setattr(feature_store, "read_images", refuse)
    monkeypatch.setattr(ladder, "_score", refuse)
    assert evaluate(run).ladder == evaluation.ladder


def test_report_shows_blind_spots_and_worst_images(run: Path, verdicts: dict[str, CellVerdict], tmp_path: Path) -> None:
    html = write_report(run, tmp_path / "report").read_text(encoding="utf-8")
    assert 'id="ladder"' in html
    assert "worst images of one-level" in html


def missing(tmp_path: Path, **options: object) -> dict[str, str]:
    return evaluate(make_scored_run(tmp_path, policy=Policy(), candidates={}, **options)).missing  # type: ignore[arg-type]


def test_prompts_that_are_no_captions_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes_world.Scene, "caption", property(lambda self: f"a photo of {self.background}"))
    why = missing(tmp_path, prompts=12, metrics=("attributes:bundled",))["attributes:bundled"]
    assert why.startswith("it cannot check 12 of 12 prompts")


def test_images_smaller_than_a_crop_are_named(tmp_path: Path) -> None:
    why = missing(tmp_path, prompts=12, metrics=("fid:patch",))["fid:patch"]
    assert why == "images of 64×64 are too small: it needs 299"


def one_delta(tmp_path: Path, change: Change, **options: object) -> Delta:
    run = make_scored_run(
        tmp_path, metrics=("attributes:bundled",), policy=FIVE_PERCENT, candidates={"same": (STEPS, change)},
        **options,  # type: ignore[arg-type]
    )  # fmt: skip
    (delta,) = evaluate(run).deltas
    return delta


def test_a_baseline_near_chance_judges_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapes_world, "render", lambda scenes, rng: np.full((len(scenes), 64, 64, 3), 128, np.uint8))
    delta = one_delta(tmp_path, lambda images: images, prompts=20)
    assert isinstance(delta.loss, Absent)
    assert "no better than other prompts" in delta.loss.absent


def test_prompts_that_are_all_alike_have_no_chance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = shapes_world.draw_scenes
    monkeypatch.setattr(shapes_world, "draw_scenes", lambda rng, count, split: draw(rng, 1, split) * count)
    delta = one_delta(tmp_path, lambda images: images, prompts=20)
    assert isinstance(delta.loss, Absent)
    assert "all prompts are the same text" in delta.loss.absent
    assert pair_with_other_prompts(("a", "a")) is None
    assert pair_with_other_prompts(("a", "b", "b", "c")) == (3, 0, 0, 2)
