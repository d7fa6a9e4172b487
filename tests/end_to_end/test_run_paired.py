"""Cells timed beside the baseline in real processes: what is killed, hangs or ends costs no figure."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from harness import api
from harness.core.outcome import Completed, Failed, Outcome
from harness.core.plan import PlannedCell
from harness.core.units import Absent
from harness.execution import run_plan
from harness.execution.launchers import ProcessLauncher, ProcessWorker
from harness.execution.runner import add_images
from harness.execution.task import Notify, Task, WorkerProgress
from harness.reporting.wall_time import build_wall_time
from harness.results import Run
from harness.store import read_outcomes, read_plan, read_times
from tests.builders.fake_run import MATRIX, write_matrix

PAIR = MATRIX.replace("steps = [50, 20, 4]", "steps = [50, 4]")
BASELINE, CELL = "50-steps_fp32", "4-steps_fp32"


class Watched(ProcessLauncher):
    """Remembers who works for which cell."""

    def __init__(self) -> None:
        super().__init__(with_torch=False)
        self.pids: list[tuple[str, int]] = []

    def open(self, task: Task, notify: Notify) -> ProcessWorker:
        worker = super().open(task, notify)
        self.pids.append((task.planned.id, worker.pid))
        return worker

    def last(self, cell_id: str) -> int:
        return [pid for known, pid in self.pids if known == cell_id][-1]


class Meddler:
    """Does something to a run, once, when a cell says a certain thing."""

    def __init__(
        self, cell_id: str, when: Callable[[WorkerProgress], bool], applied_effect: Callable[[], None]
    ) -> None:
        self.cell_id, self.when, self.applied_effect = cell_id, when, applied_effect
        self.done = False

    def cell_began(self, planned: PlannedCell) -> None:
        pass

    def cell_advanced(self, planned: PlannedCell, step: WorkerProgress) -> None:
        if planned.id == self.cell_id and self.when(step) and not self.done:
            self.done = True
            self.applied_effect()

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        pass


def measured(folder: Path, text: str, meddle: Callable[[Watched], Meddler]) -> tuple[dict[str, Outcome], Watched]:
    run = api.open_run(api.load(write_matrix(folder, text)), results=folder / "results")
    plan, launcher = read_plan(run), Watched()
    wanted = {planned.id: len(plan.get_prompts(planned)) for planned in plan.cells}
    meddler = meddle(launcher)
    outcomes = run_plan(run, plan, wanted, launcher, meddler)
    assert meddler.done
    assert not [pid for _, pid in launcher.pids if psutil.pid_exists(pid)]
    return outcomes, launcher


def completed(outcome: Outcome) -> Completed:
    assert isinstance(outcome, Completed), outcome
    return outcome


def tracing(step: WorkerProgress) -> bool:
    return step.phase == "trace"


def timing(step: WorkerProgress) -> bool:
    return step.phase == "repeats" and step.note.startswith("block")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("paired")
    return api.run(api.load(write_matrix(folder)), results=folder / "results")


def test_candidates_and_rerun_interleave_with_baseline(run: Path) -> None:
    kinds = {cell_id: completed(outcome).pairing.kind for cell_id, outcome in read_outcomes(run).items()}
    assert kinds == {
        BASELINE: "alone",
        "baseline-rerun": "interleaved",
        "baseline-other-seed": "alone",
        "20-steps_fp32": "interleaved",
        CELL: "interleaved",
    }
    pairing = completed(read_outcomes(run)[CELL]).pairing
    assert "".join(block.side[0] for block in pairing.blocks[:8]) == "bccbbccb"
    assert {len(repeat.steps_s) for block in pairing.of("baseline") for repeat in block.repeats} == {50}
    assert {len(repeat.steps_s) for block in pairing.of("cell") for repeat in block.repeats} == {4}
    assert completed(read_outcomes(run)["baseline-other-seed"]).pairing.blocks == ()


def test_the_phases_add_up_to_the_wall_time(run: Path) -> None:
    (spent,) = [seconds for stage, seconds in read_times(run) if stage == "run"]
    phases = [completed(outcome).phases_s for outcome in read_outcomes(run).values()]
    assert sum(sum(of_cell.values()) for of_cell in phases) <= spent
    assert sum("baseline_worker" in of_cell for of_cell in phases) == 3
    assert all(seconds > 0 for of_cell in phases for seconds in of_cell.values())
    rows = {row.name: row.wall_s for row in build_wall_time(Run.load(run), 0.0).rows}
    assert rows["Measuring"] == pytest.approx(sum(of_cell.get("repeats", 0.0) for of_cell in phases))


def test_one_process_of_the_baseline_serves_all_cells(tmp_path: Path) -> None:
    _, launcher = measured(tmp_path, MATRIX, lambda _: Meddler(CELL, timing, lambda: None))
    assert [cell_id for cell_id, _ in launcher.pids] == [
        BASELINE, BASELINE, "baseline-rerun", "20-steps_fp32", CELL, "baseline-other-seed",
    ]  # fmt: skip


def test_killed_baseline_is_started_again(tmp_path: Path) -> None:
    outcomes, launcher = measured(
        tmp_path, PAIR, lambda them: Meddler(CELL, timing, lambda: os.kill(them.last(BASELINE), signal.SIGSEGV))
    )
    assert completed(outcomes[CELL]).pairing.kind == "interleaved"
    assert [cell_id for cell_id, _ in launcher.pids].count(BASELINE) == 3


def test_out_of_memory_baseline_is_timed_separately(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.execution.runner.group_cells", lambda cells, worker: [])  # in pairs
    outcomes, _ = measured(
        tmp_path, PAIR, lambda them: Meddler(CELL, timing, lambda: os.kill(them.last(BASELINE), signal.SIGKILL))
    )
    pairing = completed(outcomes[CELL]).pairing
    assert pairing.kind == "sandwiched"
    assert "SIGKILL" in pairing.why


def test_killed_cell_fails_and_the_next_is_timed(tmp_path: Path) -> None:
    outcomes, _ = measured(
        tmp_path,
        MATRIX,
        lambda them: Meddler("20-steps_fp32", timing, lambda: os.kill(them.last("20-steps_fp32"), signal.SIGSEGV)),
    )
    broken = outcomes["20-steps_fp32"]
    assert isinstance(broken, Failed)
    assert (broken.kind, broken.phase) == ("crash", "repeats")
    assert completed(outcomes[CELL]).pairing.kind == "interleaved"


@pytest.mark.parametrize(
    ("sent", "words"),
    [(signal.SIGKILL, "SIGKILL"), (signal.SIGSTOP, "not done after 2 s")],
)
def test_worker_lost_while_tracing_keeps_its_timings(tmp_path: Path, sent: int, words: str) -> None:
    text = PAIR.replace("max_s = 0.1", "max_s = 0.1\ntimeout_s = 2\ntrace = true")
    outcomes, _ = measured(tmp_path, text, lambda them: Meddler(CELL, tracing, lambda: os.kill(them.last(CELL), sent)))
    outcome = completed(outcomes[CELL])
    assert outcome.pairing.kind == "interleaved"
    assert outcome.images
    assert isinstance(outcome.trace, Absent)
    assert words in outcome.trace.absent
    assert "not-traced" in {caution.kind for caution in outcome.warnings}


def test_run_stopped_while_tracing_keeps_the_cell(tmp_path: Path) -> None:
    text = PAIR.replace("max_s = 0.1", "max_s = 0.1\ntrace = true")
    run = api.open_run(api.load(write_matrix(tmp_path, text)), results=tmp_path / "results")

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        api.continue_run(run, progress=Meddler(CELL, tracing, interrupt))
    outcome = completed(read_outcomes(run)[CELL])
    assert outcome.pairing.kind == "interleaved"
    assert outcome.images
    assert outcome.trace == Absent(absent="the run ended during the trace")
    assert [planned.id for planned in api.pending(run)] == ["baseline-other-seed"]


def test_a_run_killed_amid_the_turns_goes_on(tmp_path: Path) -> None:
    text = PAIR.replace("max_s = 0.1", "max_s = 1").replace('source = "fake"', 'source = "fake"\nstep_s = 0.001')
    write_matrix(tmp_path, text)
    command = [sys.executable, "-m", "harness", "run", "fake.toml"]
    writer = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.DEVNULL)
    results = tmp_path / "results"
    while not list(results.glob(f"*/cells/{CELL}/images")):  # its folder is made; it is loaded and timed next
        assert writer.poll() is None
        time.sleep(0.02)
    time.sleep(0.7)
    children = psutil.Process(writer.pid).children(recursive=True)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert len(children) >= 3  # the server, the baseline and the cell at work
    _, left = psutil.wait_procs(children, timeout=30)
    assert left == []
    before = {path: path.stat().st_mtime_ns for path in results.glob("*/cells/*/outcome.json")}
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())
    assert completed(read_outcomes(next(results.iterdir()))[CELL]).pairing.kind == "interleaved"


def test_reused_rerun_images_are_still_timed(tmp_path: Path) -> None:
    loaded = api.load(write_matrix(tmp_path, PAIR))
    first = api.run(loaded, results=tmp_path / "results")
    second = api.run(loaded, results=tmp_path / "results", fresh=True)
    rerun, before = (completed(read_outcomes(run)["baseline-rerun"]) for run in (second, first))
    assert rerun.reused_from == first.name
    assert rerun.images == before.images
    assert rerun.pairing.kind == "interleaved"
    assert rerun.pairing != before.pairing
    other = completed(read_outcomes(second)["baseline-other-seed"])
    assert other.reused_from == first.name
    assert other.pairing.blocks == ()
    elsewhere = Absent(absent=f"its images were reused from {first.name}")
    assert (other.cold_start, other.trace, other.memory.peak()) == (elsewhere,) * 3
    assert (other.warmup_s, other.warnings) == ((), ())
    assert completed(read_outcomes(first)["baseline-other-seed"]).warmup_s
    untimed = add_images(other, Failed(kind="crash", phase="repeats", message="gone"))
    assert completed(untimed).cold_start == elsewhere
    assert completed(untimed).pairing.stopped == "not timed: crash in repeats: gone"
