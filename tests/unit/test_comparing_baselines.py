"""Two runs with other baselines, seeds, prompts or files: what differs is named, nonsense ratios are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness import api
from harness.cli.commands import app
from harness.core.units import Absent
from harness.evaluation import evaluate
from harness.reporting import compare_runs
from harness.store.layout import RunFolder
from tests.builders.fake_run import finished_run
from tests.builders.scored_run import CANDIDATES, make_scored_run

FEW = {name: CANDIDATES[name] for name in ("same", "faint")}
METRICS = ("psnr", "clip:bundled")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two evaluated runs of the same images."""
    made = []
    for name in ("a", "b"):
        run = make_scored_run(tmp_path_factory.mktemp(name), prompts=24, metrics=METRICS, candidates=FEW)
        evaluate(run)
        made.append(run)
    return made[0], made[1]


@pytest.fixture
def runs(pair: tuple[Path, Path]) -> Any:
    """Two equal runs, whose plans are restored after the test."""
    before = {path: path.read_bytes() for path in (RunFolder(run).run_json for run in pair)}
    yield pair
    for path, content in before.items():
        path.write_bytes(content)


def edit(run: Path, change: Callable[[Any], object]) -> None:
    """Change a run's plan as if it had been made so."""
    path = RunFolder(run).run_json
    document = json.loads(path.read_text())
    change(document["plan"])
    path.write_text(json.dumps(document))


def settings_of(plan: Any, cell_id: str) -> dict[str, Any]:
    found = next(planned for planned in plan["cells"] if planned["cell"]["id"] == cell_id)
    return {setting["axis"]: setting for setting in found["cell"]["settings"]}


def other_baseline(plan: Any) -> None:
    settings_of(plan, "baseline")["steps"]["name"] = "25"


def test_equal_runs_have_no_differences(runs: tuple[Path, Path]) -> None:
    found = compare_runs(*runs)
    assert found.differences == found.baselines == ()
    assert all(score.loss_a == score.loss_b is not None for score in found.cells[2].quality)


def test_losses_against_other_baselines_are_refused(runs: tuple[Path, Path]) -> None:
    edit(runs[1], other_baseline)
    found = compare_runs(*runs)
    assert found.baselines == ("steps 50 ≠ 25",)
    assert "baseline: steps 50 ≠ 25" in found.differences
    for cell in found.cells[1:]:
        assert cell.baseline_adjusted == Absent(absent="the baselines differ: steps 50 ≠ 25")
        assert cell.speedup == pytest.approx(1)
        scores = {score.metric: score for score in cell.quality}
        assert "the baselines differ" in scores["psnr"].refused
        assert scores["psnr"].score_a is scores["psnr"].loss_a is None
        assert scores["clip:bundled"].score_a == scores["clip:bundled"].score_b is not None
        assert scores["clip:bundled"].loss_a is scores["clip:bundled"].loss_b is None
        assert "the baselines differ" in scores["clip:bundled"].loss_refused


def test_the_command_says_that_baselines_differ(runs: tuple[Path, Path]) -> None:
    edit(runs[1], other_baseline)
    answer = CliRunner().invoke(app, ["compare", *map(str, runs)])
    assert answer.exit_code == 7
    assert "differs: baseline: steps 50 ≠ 25" in answer.output
    assert "baselines differ: steps 50 ≠ 25: ratios over the baseline, losses and paired scores" in answer.output
    assert "name it in [baseline] of every matrix" in answer.output
    as_json = CliRunner().invoke(app, ["compare", *map(str, runs), "--json"])
    assert json.loads(as_json.stdout)["pairs"][0]["baselines"] == ["steps 50 ≠ 25"]


def test_another_model_is_another_baseline(runs: tuple[Path, Path]) -> None:
    edit(runs[1], lambda plan: plan["model"].update(digest="f" * 64))
    found = compare_runs(*runs)
    assert found.baselines == (f"model: rendered scenes 0 ≠ rendered scenes {'f' * 12}",)
    assert found.differences == found.baselines


def test_replaced_baseline_files_are_another_baseline(runs: tuple[Path, Path]) -> None:
    for run, sha in zip(runs, ("a" * 64, "b" * 64), strict=True):
        edit(run, lambda plan, sha=sha: plan["cells"][0].update(files={"precision": sha}))  # type: ignore[misc]
    assert compare_runs(*runs).baselines == (f"precision fp32: files {'a' * 12} ≠ {'b' * 12}",)


NAMED: dict[str, tuple[Callable[[Any], object], str]] = {
    "seeds": (lambda plan: plan["matrix"].update(seeds=[7]), "seeds: [0] ≠ [7]"),
    "fewer prompts": (lambda plan: plan.update(prompts=plan["prompts"][:20]), "prompts: 24 ≠ 20, the first of them"),
    "other prompts": (lambda plan: plan["prompts"][0].update(text="x"), "prompts: other texts"),
    "an image size": (
        lambda plan: settings_of(plan, "faint")["resolution"].update(name="128x128"),
        "faint: resolution 64x64 ≠ 128x128",
    ),
    "the noise": (
        lambda plan: plan.update(latent={"path": "n.npy", "sha256": "0" * 64, "shape": [4, 8, 8]}),
        "prompts.latent: the images start from other noise",
    ),
    "the policy": (lambda plan: plan["policy"].update(name="strict"), "policy: five-percent ≠ strict"),
    "the rules": (lambda plan: plan["policy"]["gate"][0].update(margin=0.1), "policy: five-percent, other rules"),
}


@pytest.mark.parametrize("what", NAMED)
def test_what_was_measured_differently_is_named(runs: tuple[Path, Path], what: str) -> None:
    change, words = NAMED[what]
    edit(runs[1], change)
    found = compare_runs(*runs)
    assert any(difference.startswith(words) for difference in found.differences)
    assert found.baselines == ()


def test_cells_of_other_settings_have_no_ratio(runs: tuple[Path, Path]) -> None:
    edit(runs[1], NAMED["an image size"][0])
    cell = {cell.cell: cell for cell in compare_runs(*runs).cells}["faint"]
    assert cell.speedup is None
    assert cell.latency_a_s == cell.latency_b_s is not None
    assert cell.interval == cell.baseline_adjusted == Absent(absent="other settings: resolution 64x64 ≠ 128x128")
    assert all(score.refused for score in cell.quality)


def test_replaced_adapter_is_named_and_still_compared(runs: tuple[Path, Path]) -> None:
    for run, sha in zip(runs, ("a" * 64, "b" * 64), strict=True):
        edit(run, lambda plan, sha=sha: plan["cells"][-1].update(files={"precision": sha}))  # type: ignore[misc]
    found = compare_runs(*runs)
    difference = f"precision bf16: files {'a' * 12} ≠ {'b' * 12}"
    assert f"faint: {difference}" in found.differences
    assert found.cells[-1].differences == (difference,)
    assert found.cells[-1].speedup == pytest.approx(1)
    assert not any(score.refused for score in found.cells[-1].quality)


def test_real_runs_of_two_baselines(tmp_path: Path) -> None:
    made = []
    for steps in (50, 20):
        folder = tmp_path / str(steps)
        folder.mkdir()
        text = MATRIX_OF_TWO.replace("{baseline}", str(steps))
        made.append(finished_run(folder, text))
    (found,) = api.compare(*made).pairs
    assert found.baselines == ("steps 50 ≠ 20",)
    cells = {cell.cell: cell for cell in found.cells}
    assert isinstance(cells["8-steps_fp32"].baseline_adjusted, Absent)
    assert cells["8-steps_fp32"].speedup is not None


MATRIX_OF_TWO = """
name = "two"
model = "fake"
axes.steps = [20, 8]
baseline = { steps = {baseline} }
prompts.set = "{prompts}"
quality = { metrics = ["psnr"], rerun_prompts = 4 }
measure = { min_s = 0, max_s = 0.1 }
"""
