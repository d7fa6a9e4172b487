"""Whole runs of the fake model in real worker processes: every ending recorded, nothing lost, nothing done twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import api
from harness.core.errors import MachineError
from harness.core.outcome import Completed, Failed, Skipped
from harness.store import read_outcomes, read_plan, read_times
from harness.store.layout import RunFolder
from tests.builders.command import harness
from tests.builders.fake_run import MATRIX, write_matrix

FAULTY = MATRIX.replace(
    "[axes]\nsteps = [50, 20, 4]",
    "[axes]\nsteps = [50, 4, 5, 6, 7, 8, 9, 10, 11]\n",
).replace(
    'source = "fake"',
    'source = "fake"\nfaults = {5 = "error", 6 = "segfault", 7 = "killed", 8 = "nan", 9 = "black", '
    '10 = "out-of-memory", 11 = "hang"}',
)
SLOW = MATRIX.replace('source = "fake"', 'source = "fake"\nstep_s = 0.005')  # slow enough to be interrupted


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faulty")
    text = FAULTY.replace("max_s = 0.1", "max_s = 0.1\ntimeout_s = 3")
    run = api.open_run(api.load(write_matrix(folder, text)), results=folder / "results")
    api.continue_run(run)
    return run


@pytest.mark.parametrize(
    ("steps", "kind", "phase", "words"),
    [
        (5, "error", "warmup", "asked to fail"),
        (6, "crash", "warmup", "SIGSEGV"),
        (7, "out-of-memory", "warmup", "SIGKILL"),
        (8, "bad-image", "images", "NaN"),
        (9, "bad-image", "images", "one colour"),
        (10, "out-of-memory", "warmup", "MemoryError"),
        (11, "timeout", "warmup", "not done after 3 s"),
    ],
)
def test_a_cell_that_breaks_is_a_recorded_outcome(faulty: Path, steps: int, kind: str, phase: str, words: str) -> None:
    outcome = read_outcomes(faulty)[f"{steps}-steps_fp32"]
    assert isinstance(outcome, Failed)
    assert (outcome.kind, outcome.phase) == (kind, phase)
    assert words in outcome.message
    assert outcome.hint


def test_the_sweep_goes_on_after_broken_cells(faulty: Path) -> None:
    outcomes = read_outcomes(faulty)
    assert isinstance(outcomes["4-steps_fp32"], Completed)
    assert len(outcomes) == len(read_plan(faulty).cells)


def test_a_crash_leaves_its_log(faulty: Path) -> None:
    outcome = read_outcomes(faulty)["6-steps_fp32"]
    assert isinstance(outcome, Failed)
    assert "Segmentation fault" in outcome.log


def test_a_completed_cell_holds_raw_samples_and_counts(faulty: Path) -> None:
    outcome = read_outcomes(faulty)["4-steps_fp32"]
    assert isinstance(outcome, Completed)
    assert len(outcome.repeats) >= 2
    assert outcome.denoiser_calls == 4
    assert all(len(repeat.steps_s) == 4 for repeat in outcome.repeats)
    for repeat in outcome.repeats:
        assert sum(repeat.stages_s.values()) == pytest.approx(repeat.latency_s, rel=1e-6)
    assert {image.key for image in outcome.images} == {(p.id, 0) for p in read_plan(faulty).prompts}
    assert all((RunFolder(faulty).cell("4-steps_fp32") / image.path).exists() for image in outcome.images)


def test_gpu_values_are_absent_with_a_reason(faulty: Path) -> None:
    outcome = read_outcomes(faulty)["4-steps_fp32"]
    assert isinstance(outcome, Completed)
    memory, repeat = (json.loads(record.model_dump_json()) for record in (outcome.memory, outcome.repeats[0]))
    if not read_plan(faulty).machine.gpus:
        assert memory["allocated_bytes"] == {"absent": "no GPU"}
        assert repeat["device_s"] == {"absent": "no GPU"}


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    write_matrix(tmp_path, SLOW)
    mark = f"HARNESS_TEST_RUN={tmp_path}"
    writer = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "fake.toml"],
        cwd=tmp_path,
        env={**os.environ, "HARNESS_TEST_RUN": str(tmp_path)},
        stderr=subprocess.PIPE,
    )
    results = tmp_path / "results"
    while not list(results.glob("*/cells/*/outcome.json")):
        time.sleep(0.05)
    assert writer.pid in _processes(mark)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    before = {path: path.stat().st_mtime_ns for path in results.glob("*/cells/*/outcome.json")}
    end = time.monotonic() + 60
    while _processes(mark) and time.monotonic() < end:  # the worker notices that nobody would read its result
        time.sleep(0.1)
    assert _processes(mark) == []
    again = harness("run", "fake.toml", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    assert len(list(results.iterdir())) == 1
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    outcomes = read_outcomes(next(results.iterdir()))
    assert all(isinstance(outcome, Completed) for outcome in outcomes.values())
    images = list(results.glob("*/cells/*/images/*.png"))
    assert len(images) == sum(len(o.images) for o in outcomes.values() if isinstance(o, Completed))


def _processes(mark: str) -> list[int]:
    """Return the processes of one run: all that it starts have its environment."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            around = (folder / "environ").read_bytes().split(b"\0") if folder.name.isdigit() else []
        except OSError:
            continue
        if mark.encode() in around:
            found.append(int(folder.name))
    return found


@pytest.fixture
def _heard_ctrl_c() -> Iterator[None]:
    """Undo what a shell does to jobs in the background: they and their children ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_heard_ctrl_c")
def test_ctrl_c_keeps_what_was_measured_and_says_so(tmp_path: Path) -> None:
    write_matrix(tmp_path, SLOW)
    writer = subprocess.Popen(
        [sys.executable, "-m", "harness", "run", "fake.toml"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    )
    results = tmp_path / "results"
    while not list(results.glob("*/cells/*/outcome.json")):
        time.sleep(0.05)
    writer.send_signal(signal.SIGINT)
    _, stderr = writer.communicate(timeout=20)
    assert writer.returncode == 130
    assert "the same command continues" in stderr
    assert "Traceback" not in stderr
    assert harness("run", "fake.toml", cwd=tmp_path).returncode == 0


def test_doing_it_again_has_nothing_to_do(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    assert harness("run", "fake.toml", cwd=tmp_path).returncode == 0
    again = harness("run", "fake.toml", cwd=tmp_path)
    assert again.returncode == 3
    assert "--fresh" in again.stderr
    assert harness("run", "fake.toml", "--fresh", cwd=tmp_path).returncode == 0
    assert len(list((tmp_path / "results").iterdir())) == 2


def test_fresh_run_reuses_extra_baseline_runs(tmp_path: Path) -> None:
    loaded = api.load(write_matrix(tmp_path))
    first = api.run(loaded, results=tmp_path / "results")
    time.sleep(1.1)  # run ids have a resolution of a second
    second = api.run(loaded, results=tmp_path / "results", fresh=True)
    reused = read_outcomes(second)["baseline-rerun"]
    assert isinstance(reused, Completed)
    assert reused.reused_from == first.name
    assert all((RunFolder(second).cell("baseline-rerun") / image.path).exists() for image in reused.images)


def test_failed_cells_can_be_tried_again(faulty: Path) -> None:
    assert api.pending(faulty) == []
    outcomes = read_outcomes(faulty)
    failed = {cell_id for cell_id, outcome in outcomes.items() if isinstance(outcome, Failed)}
    try:
        assert {planned.id for planned in api.pending(faulty, retry_failed=True)} == failed
    finally:
        from harness.store import write_outcome

        for cell_id in failed:
            write_outcome(faulty, cell_id, outcomes[cell_id])


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    text = MATRIX.replace('source = "fake"', 'source = "fake"\nfaults = {4 = "disk-full"}')
    loaded = api.load(write_matrix(tmp_path, text))
    run = api.open_run(loaded, results=tmp_path / "results")
    with pytest.raises(MachineError, match="disk is full"):
        api.continue_run(run)
    done = read_outcomes(run)
    assert "50-steps_fp32" in done
    assert "4-steps_fp32" not in done


def test_unwritable_results_are_one_clear_error(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    (tmp_path / "results").write_text("a file, not a folder", encoding="utf-8")
    answer = harness("run", "fake.toml", cwd=tmp_path)
    assert answer.returncode == 4
    assert "Traceback" not in answer.stderr
    assert "results" in answer.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_one_clear_error(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    (tmp_path / "results").mkdir(mode=0o500)
    answer = harness("run", "fake.toml", cwd=tmp_path)
    assert answer.returncode == 4
    assert "no permission" in answer.stderr


def test_a_cell_of_its_own_costs_well_under_a_second(faulty: Path) -> None:
    starts = [o.cold_start.start_s for o in read_outcomes(faulty).values() if isinstance(o, Completed)]
    assert len(starts) >= 3  # figures are in the report's ledger; a timed assertion would be flaky
    assert all(start > 0 for start in starts)


def test_the_wall_time_of_every_stage_is_kept(faulty: Path) -> None:
    assert read_times(faulty)[0][0] == "run"


def test_skipped_cells_are_outcomes_too(tmp_path: Path) -> None:
    text = MATRIX + '[[include]]\nsteps = 3\ncompiler = "inductor"\n'
    run = api.run(api.load(write_matrix(tmp_path, text)), results=tmp_path / "results")
    outcome = read_outcomes(run)["3-steps_fp32_inductor"]
    assert isinstance(outcome, Skipped)
    assert "compiler inductor" in outcome.reason


def test_script_without_main_guard_runs_once(tmp_path: Path) -> None:
    write_matrix(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(
        "from pathlib import Path\nimport harness\n"
        "with open('started', 'a') as file: file.write('x')\n"
        "print(harness.run(harness.load('fake.toml')))\n",
        encoding="utf-8",
    )
    subprocess.run([sys.executable, str(script)], cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "started").read_text(encoding="utf-8") == "x"
