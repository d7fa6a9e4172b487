"""Reading a stored trace, and every way in which there is none to read or to take."""

import json
from pathlib import Path

import pytest

from harness import api
from harness.cli import console
from harness.core.errors import ExitCode, HarnessError, MachineError, NothingToDo, ResultsError, UsageError
from harness.core.outcome import Completed, Skipped
from harness.core.trace import BETWEEN, Kernel, StageTime, Tally, Trace, TraceFacts, Waits
from harness.core.units import Absent
from harness.profiling import Explained
from harness.store import lock_run, read_outcomes, write_outcome
from harness.store.layout import TRACE, RunFolder
from tests.builders.fake_run import copy_finished_run

BASELINE, CELL = "50-steps", "4-steps"
NONE = Tally(count=0, total_s=0.0)


def stage(name: str, calls: int, wall_s: float) -> StageTime:
    families = {"gemm": wall_s * 0.3, "norm": wall_s * 0.1}
    return StageTime(
        stage=name, calls=calls, wall_s=wall_s, busy_s=wall_s * 0.4, families_s=families, kernels=calls * 90,
        launches=calls * 90, graph_launches=0, launch_s=wall_s * 0.2,
    )  # fmt: skip


def facts(steps: int, gemm_s: float) -> TraceFacts:
    """A made-up trace of a GPU that waits most of the time."""
    return TraceFacts(
        device="cuda", wall_s=steps * 0.1 + 0.02, busy_s=steps * 0.04,
        stages=(stage("denoiser", steps, steps * 0.1), stage(BETWEEN, 0, 0.02)),
        kernels=(Kernel(name="sgemm_[x]", family="gemm", stage="denoiser", calls=steps * 40, total_s=steps * gemm_s),),
        gaps=(), synchronisations=Waits(count=2, total_s=0.001, in_loop=0, idle_s=0.0, callers={}),
        host_to_device=Tally(count=1, total_s=0.001, size_bytes=2048), device_to_host=NONE, casts=NONE, recompiles=0,
        timeline=(),
    )  # fmt: skip


def store_trace(run: Path, cell: str, found: TraceFacts) -> None:
    outcome = read_outcomes(run)[cell]
    assert isinstance(outcome, Completed)
    trace = Trace(path=TRACE, size_bytes=4096, steps=found.stages[0].calls, notes=("the first steps only",))
    write_outcome(run, cell, outcome.model_copy(update={"trace": trace}))
    RunFolder(run).trace_facts(cell).write_text(found.model_dump_json(), encoding="utf-8")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of the fake model, with made-up traces of two of its cells."""
    made = copy_finished_run(tmp_path_factory.mktemp("profiling"))
    store_trace(made, cell_id(made, BASELINE), facts(50, 0.03))
    store_trace(made, cell_id(made, CELL), facts(4, 0.01))
    return made


def cell_id(run: Path, start: str) -> str:
    return next(name for name in read_outcomes(run) if name.startswith(start))


def printed(capsys: pytest.CaptureFixture[str], explained: Explained, json: bool = False) -> str:
    capsys.readouterr()
    console.show_explained([explained], json)
    return capsys.readouterr().out


def test_explain_says_where_time_goes_and_what_to_do(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explained = api.explain(run, "baseline")
    assert explained.cell == cell_id(run, BASELINE)
    assert 1 <= len(explained.advice) <= 3
    shown = printed(capsys, explained)
    for words in (
        "denoiser",
        "sgemm_[x]",
        "gemm",
        "2 waits",
        "2 KiB copied to the GPU",
        "0 recompilations",
        "Perfetto",
    ):
        assert words.lower() in shown.lower()
    assert explained.advice[0].sentence in shown.replace("\n", " ")
    assert "note: the first steps only" in shown


def test_explain_against_a_cell_lists_changes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    explained = api.explain(run, cell_id(run, CELL), "baseline")
    assert explained.diff is not None
    assert [(kernel.change_kind, kernel.name) for kernel in explained.diff.kernels] == [("faster", "sgemm_[x]")]
    assert f"against {cell_id(run, BASELINE)}" in printed(capsys, explained)
    elsewhere = api.explain(run, "baseline", other=run)
    assert elsewhere.against == f"{cell_id(run, BASELINE)} of {run.name}"


def test_summary_for_programs_names_cell_and_changes(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(printed(capsys, api.explain(run, cell_id(run, CELL), "baseline"), json=True))
    assert found["cell"] == cell_id(run, CELL)
    assert found["compared_with"] == cell_id(run, BASELINE)
    assert found["trace"]["steps"] == 4
    assert {"about", "advice", "stages", "against", "denoiser_bound"} <= set(found)


def test_a_cell_that_is_not_there_gets_a_guess(run: Path) -> None:
    with pytest.raises(UsageError, match='Did you mean "baseline"'):
        api.explain(run, "basline")
    with pytest.raises(UsageError, match="Did you mean"):
        api.profile(run, cell_id(run, CELL)[:-1])


def test_cell_without_trace_names_the_command(run: Path) -> None:
    cell = cell_id(run, "20-steps")
    with pytest.raises(NothingToDo) as error:
        api.explain(run, cell)
    assert error.value.exit_code == ExitCode.NOTHING_TO_DO == 3
    assert error.value.fix == f"Run: harness profile {run} {cell}"


def test_facts_that_are_gone_or_damaged_are_named(run: Path) -> None:
    cell = cell_id(run, CELL)
    path = RunFolder(run).trace_facts(cell)
    kept = path.read_text(encoding="utf-8")
    path.unlink()
    with pytest.raises(NothingToDo, match="its facts are missing"):
        api.explain(run, cell)
    path.write_text(kept[: len(kept) // 2], encoding="utf-8")
    with pytest.raises(ResultsError, match="damaged or truncated"):
        api.explain(run, cell)
    path.write_text(kept, encoding="utf-8")


def test_a_cell_that_was_skipped_is_not_traced(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    cell = cell_id(run, CELL)
    write_outcome(run, cell, Skipped(reason="no GPU"))
    with pytest.raises(NothingToDo, match="it was skipped: no GPU"):
        api.profile(run, cell)
    RunFolder(run).outcome(cell).unlink()
    with pytest.raises(NothingToDo, match="not run yet"):
        api.profile(run, cell)


def test_model_without_torch_is_not_moved(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    before = read_outcomes(run)
    with pytest.raises(MachineError, match="does not run in torch"):
        api.profile(run, "baseline")
    assert read_outcomes(run) == before
    outcome = before[cell_id(run, BASELINE)]
    assert isinstance(outcome, Completed)
    assert isinstance(outcome.trace, Absent)


def test_a_run_of_another_machine_says_so(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    path = RunFolder(run).run_json
    document = json.loads(path.read_text(encoding="utf-8"))
    card = {"name": "H100", "capability": [9, 0], "memory_bytes": 1, "driver": "", "cuda": "", "power_limit_w": 700}
    document["plan"]["machine"]["gpus"] = [card]
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(MachineError, match="the run was made on H100") as error:
        api.profile(run, "baseline")
    assert error.value.exit_code == ExitCode.MACHINE


def test_a_run_that_is_being_written_is_not_touched(run: Path) -> None:
    with lock_run(run), pytest.raises(HarnessError, match="another harness"):
        api.profile(run, "baseline")
