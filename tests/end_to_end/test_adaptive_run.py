"""Adaptive runs of the fake model in real worker processes: who is given more images, who is not, and nothing twice."""

import hashlib
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import api
from harness.core.errors import ResultsError
from harness.core.outcome import Completed, find_failure
from harness.core.plan import OTHER_SEED_ID, RERUN_ID
from harness.core.verdict import Judgement
from harness.evaluation import evaluate
from harness.reporting.wall_time import sum_phases
from harness.results import Run
from harness.store import read_evaluation, read_judgement, read_outcomes, read_plan, read_times, write_outcome
from harness.store.layout import RunFolder
from tests.builders.command import harness
from tests.builders.fake_run import write_matrix

# PSNR by steps is 53.5 dB at 40, 31.7 at 9, 30.5 at 8, 24.0 at 4 (all prompts): far above the limit, far below, on it.
MATRIX = """
name = "adaptive"
policy = "psnr.toml"
[model]
source = "fake"
[axes]
steps = [50, 40, 9, 8, 4]
[prompts]
set = "{prompts}"
[measure]
min_s = 0
max_s = 0.1
[quality]
metrics = ["psnr"]
images = "auto"
max = 160
rerun_prompts = 40
"""
POLICY = """
[[gate]]
quantity = "score"
metric = "psnr"
at_least = 30.54
"""
ANALYSES = (34, 86, 117, 160)


def get_prompts(run: Path) -> dict[str, int]:
    return {i: o.prompts for i, o in read_outcomes(run).items() if isinstance(o, Completed)}


def results_of(judgement: Judgement | None) -> dict[str, str]:
    assert judgement is not None
    return {cell.cell_id: cell.result for cell in judgement.cells}


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_adaptive(tmp_path_factory.mktemp("adaptive"), MATRIX)


def write_adaptive(folder: Path, matrix: str) -> Path:
    (folder / "psnr.toml").write_text(POLICY, encoding="utf-8")
    return write_matrix(folder, matrix, prompts=200)


@pytest.fixture(scope="module")
def decided(matrix: Path) -> Path:
    run = api.open_run(api.load(matrix), results=matrix.parent / "results")
    api.run_until_decided(run)
    return run


def test_each_cell_has_the_images_its_verdict_needed(decided: Path) -> None:
    assert read_plan(decided).interim_analyses == ANALYSES
    assert results_of(read_judgement(decided)) == {
        "40-steps_fp32": "pass",
        "9-steps_fp32": "pass",
        "8-steps_fp32": "inconclusive",
        "4-steps_fp32": "fail",
    }
    assert get_prompts(decided) == {
        "50-steps_fp32": 160,
        RERUN_ID: 40,
        OTHER_SEED_ID: 160,
        "40-steps_fp32": 86,
        "9-steps_fp32": 86,
        "8-steps_fp32": 160,
        "4-steps_fp32": 34,
    }
    assert api.pending(decided) == []
    assert [stage for stage, _ in read_times(decided)] == ["run", "evaluate", "gate"] * 4


def test_scores_say_on_how_many_prompts_they_stand(decided: Path) -> None:
    evaluation = read_evaluation(decided)
    assert evaluation is not None
    have = get_prompts(decided)
    assert {delta.cell_id for delta in evaluation.deltas} == set(results_of(read_judgement(decided)))
    assert all(delta.prompts == delta.n == have[delta.cell_id] for delta in evaluation.deltas)


def test_images_equal_those_of_a_fixed_run(matrix: Path, decided: Path) -> None:
    whole = matrix.parent / "whole.toml"
    whole.write_text(matrix.read_text(encoding="utf-8").replace('images = "auto"\nmax = 160\n', ""), encoding="utf-8")
    fixed = api.open_run(api.load(whole), results=matrix.parent / "whole")
    api.continue_run(fixed, inline=True)
    everything = read_outcomes(fixed)
    for cell_id, outcome in read_outcomes(decided).items():
        reference = everything[cell_id]
        assert isinstance(outcome, Completed)
        assert isinstance(reference, Completed)
        assert outcome.images == reference.images[: len(outcome.images)]
        files = {path.name for path in RunFolder(decided).images(cell_id).iterdir()}
        assert files == {Path(image.path).name for image in outcome.images}
        for image in outcome.images[-2:]:
            data = (RunFolder(decided).cell(cell_id) / image.path).read_bytes()
            assert hashlib.sha256(data).hexdigest() == image.sha256


def test_timings_are_of_stage_one_phases_of_all(decided: Path) -> None:
    outcome = read_outcomes(decided)["8-steps_fp32"]
    assert isinstance(outcome, Completed)
    assert len(outcome.repeats) >= 2
    assert outcome.phases_s["load"] > outcome.cold_start.load_s
    assert outcome.phases_s["start"] > outcome.cold_start.start_s


def test_finished_run_can_be_processed_again(decided: Path) -> None:
    before, verdicts = read_evaluation(decided), read_judgement(decided)
    again = api.evaluate(decided)
    assert before is not None
    assert again.deltas == before.deltas
    assert api.gate(decided) == verdicts
    assert api.report(decided).exists()
    assert len(api.frame(decided)) == 5
    assert {cell.standing for cell in api.compare(decided, decided).cells} == {
        "baseline",
        "pass",
        "inconclusive",
        "fail",
    }


def test_a_killed_run_goes_on_within_a_stage(decided: Path, tmp_path: Path) -> None:
    write_adaptive(tmp_path, MATRIX.replace('source = "fake"', 'source = "fake"\nstep_s = 0.003'))
    writer = subprocess.Popen(
        [sys.executable, "-m", "harness", "bench", "fake.toml"], cwd=tmp_path, stderr=-3, stdout=-3
    )
    results = tmp_path / "results"

    def extended() -> list[Path]:
        return [
            path
            for path in results.glob("*/cells/*/outcome.json")
            if path.read_text(encoding="utf-8").count("prompt_id") == 86
        ]

    while len(extended()) < 2:  # the baseline, and its other seed: no candidate yet
        assert writer.poll() is None
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    before = {path: path.read_bytes() for path in results.glob("*/cells/*/images/*.png")}
    done = {path: path.stat().st_mtime_ns for file in extended() for path in file.parent.glob("images/*.png")}
    run = next(results.iterdir())
    assert 86 not in [n for cell_id, n in get_prompts(run).items() if cell_id.endswith("9-steps_fp32")]
    halfway = {delta.cell_id: delta.prompts for delta in evaluate(run).deltas}
    assert set(halfway.values()) <= {34, 86}
    again = harness("bench", "fake.toml", cwd=tmp_path)
    assert again.returncode == 1, again.stderr
    assert len(list(results.iterdir())) == 1
    assert get_prompts(run) == get_prompts(decided)
    assert results_of(read_judgement(run)) == results_of(read_judgement(decided))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())
    assert all(path.read_bytes() == data for path, data in before.items())


def test_commands_run_stage_by_stage(tmp_path: Path) -> None:
    write_adaptive(tmp_path, MATRIX)
    assert harness("run", "fake.toml", cwd=tmp_path).returncode == 0
    again = harness("run", "fake.toml", cwd=tmp_path)
    assert again.returncode == 3
    assert "harness evaluate and gate" in again.stderr
    run = next((tmp_path / "results").iterdir())
    assert set(get_prompts(run).values()) == {34}
    api.evaluate(run)
    judged = harness("gate", "latest", "--json", cwd=tmp_path)
    assert json.loads(judged.stdout)["cells"][-1]["result"] == "fail"
    assert "40-steps_fp32, 9-steps_fp32, 8-steps_fp32" in judged.stderr
    api.continue_run(run, inline=True)
    assert get_prompts(run)["9-steps_fp32"] == 86
    assert get_prompts(run)["4-steps_fp32"] == 34


def test_cell_broken_in_a_later_stage_keeps_its_images(matrix: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.core.outcome import Failed
    from harness.execution.launchers import InlineLauncher
    from harness.execution.task import Broken, Task

    run = api.open_run(api.load(matrix), results=matrix.parent / "broken")
    whole = InlineLauncher.open

    def breaks(self: InlineLauncher, task: Task, notify: object) -> object:
        if task.timed or task.planned.id != "8-steps_fp32":
            return whole(self, task, notify)  # type: ignore[arg-type]
        raise Broken(Failed(kind="crash", phase="images", message="gone"))

    monkeypatch.setattr(InlineLauncher, "open", breaks)
    monkeypatch.setattr("harness.execution.launchers.ProcessLauncher", lambda *_: InlineLauncher())
    verdicts = results_of(api.run_until_decided(run))
    assert verdicts["8-steps_fp32"] == "inconclusive"
    assert get_prompts(run)["8-steps_fp32"] == 34
    assert get_prompts(run)["50-steps_fp32"] == 86
    failure = find_failure(read_outcomes(run)["8-steps_fp32"])
    assert failure is not None
    assert failure.wall_s > 0
    assert sum_phases(Run.load(run))[1] == failure.wall_s
    assert api.pending(run) == []
    monkeypatch.setattr(InlineLauncher, "open", whole)
    assert [planned.id for planned in api.pending(run, retry_failed=True)] == ["8-steps_fp32"]
    api.run_until_decided(run)
    assert get_prompts(run)["8-steps_fp32"] == 160


def test_comparison_uses_the_common_prompts(decided: Path, tmp_path: Path) -> None:
    copy = _copy(decided, tmp_path)
    _shorten(copy, OTHER_SEED_ID, 117)
    deltas = {delta.cell_id: delta.prompts for delta in evaluate(copy).deltas}
    assert deltas["8-steps_fp32"] == 117
    assert deltas["9-steps_fp32"] == 86


def test_image_count_between_analyses_is_an_error(decided: Path, tmp_path: Path) -> None:
    copy = _copy(decided, tmp_path)
    _shorten(copy, "8-steps_fp32", 100)
    with pytest.raises(ResultsError, match="17 missing"):
        evaluate(copy)


def _copy(run: Path, folder: Path) -> Path:
    shutil.copytree(run, folder / "run")
    return folder / "run"


def _shorten(run: Path, cell_id: str, images: int) -> None:
    outcome = read_outcomes(run)[cell_id]
    assert isinstance(outcome, Completed)
    write_outcome(run, cell_id, outcome.model_copy(update={"images": outcome.images[:images]}))
