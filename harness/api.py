"""The six verbs: load, plan, run, evaluate, gate, report; they compose the stages and do nothing else."""

import contextlib
import hashlib
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.axes import all_axes, resolve_setting, value_names
from harness.core.axis import AxisValue, Setting
from harness.core.catalog import resolve
from harness.core.errors import MachineError, NothingToDo, ResultsError
from harness.core.matrix import Matrix
from harness.core.outcome import Completed, Failed
from harness.core.plan import Plan, PlannedCell, Rate
from harness.core.quality import Evaluation
from harness.core.verdict import Judgement
from harness.execution import Progress
from harness.matrix import expand, load_matrix, matches
from harness.measure.machine import describe_machine
from harness.models import resolve_model
from harness.planning import Surroundings, make_plan
from harness.prompts import load_prompts
from harness.store import (
    append_time,
    create_run,
    find_run,
    lock_run,
    read_judgement,
    read_outcomes,
    read_plan,
    resolve_run,
)
from harness.store.history import measured_rate
from harness.store.layout import RunFolder, report_folder

if TYPE_CHECKING:
    import pandas

RESULTS = Path("results")


class Loaded(NamedTuple):
    """A matrix together with the text it was read from, which identifies its runs."""

    matrix: Matrix
    text: str


def load(path: str | Path) -> Loaded:
    """Read a matrix file; MatrixError lists every mistake in it."""
    return Loaded(*load_matrix(Path(path)))


def plan(loaded: Loaded, *, select: tuple[str, ...] = (), results: Path = RESULTS) -> Plan:
    """Decide every cell, ready or skipped with its reason, without loading a model.

    `select` are globs on cell ids; the baseline is always kept. Raises NothingToDo if they fit no cell.
    """
    matrix = loaded.matrix
    model = resolve_model(matrix.model).describe()
    machine = describe_machine()
    around = Surroundings(
        model=model,
        machine=machine,
        prompts=load_prompts(matrix.prompts.set, matrix.prompts.limit),
        rate=measured_rate(results, model, machine) or _guessed_rate(model.image_step_s),
    )
    whole = make_plan(matrix, loaded.text, expand(matrix), around)
    if not any(matches(planned.id, select) for planned in whole.compared):
        known = ", ".join(planned.id for planned in whole.compared)
        raise NothingToDo(f"no cell fits {', '.join(select)}", "--select", f"The cells are: {known}")
    kept = tuple(p for p in whole.cells if p.role != "candidate" or matches(p.id, select))
    return whole.model_copy(update={"cells": kept})


def open_run(loaded: Loaded, *, select: tuple[str, ...] = (), results: Path = RESULTS, fresh: bool = False) -> Path:
    """Return the folder of the run to go on with: the newest with the same matrix, machine and cells, or a new one."""
    wanted = plan(loaded, select=select, results=results)
    found = None if fresh else find_run(results, lambda existing: _same(existing, wanted))
    return found or create_run(results, wanted, loaded.text)


def pending(run: Path, *, retry_failed: bool = False) -> list[PlannedCell]:
    """Return the cells of a run that have no outcome yet; `retry_failed` forgets failures first."""
    outcomes = read_outcomes(run)
    failed = [cell_id for cell_id, outcome in outcomes.items() if isinstance(outcome, Failed)]
    if retry_failed and failed:
        with lock_run(run):
            for cell_id in failed:
                RunFolder(run).outcome(cell_id).unlink()
                del outcomes[cell_id]
    return [planned for planned in read_plan(run).cells if planned.id not in outcomes]


def baseline_completed(run: Path) -> bool:
    """Return whether the baseline of a run completed: without it nothing can be compared."""
    return isinstance(read_outcomes(run).get(read_plan(run).baseline_id), Completed)


def run(
    loaded: Loaded,
    *,
    select: tuple[str, ...] = (),
    results: Path = RESULTS,
    fresh: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Measure every cell that has no outcome yet and return the run's folder.

    A run that was interrupted goes on where it stopped. Raises MachineError if results cannot be written.
    """
    folder = open_run(loaded, select=select, results=results, fresh=fresh)
    continue_run(folder, progress=progress)
    return folder


def continue_run(folder: Path, *, progress: Progress | None = None, inline: bool = False) -> None:
    """Measure the cells of a run that have no outcome yet; `inline` runs them in this process."""
    from harness.execution import SilentProgress, run_plan
    from harness.execution.launchers.inline import InlineLauncher
    from harness.execution.launchers.process import ProcessLauncher

    begin = time.perf_counter()
    with lock_run(folder):
        decided = read_plan(folder)
        launcher = InlineLauncher() if inline else ProcessLauncher(decided.model.uses_torch)
        try:
            launcher.prepare()
            run_plan(folder, decided, launcher, progress or SilentProgress())
        finally:
            launcher.close()
            append_time(folder, "run", time.perf_counter() - begin)


def evaluate(run: Path, *, advance: object = None) -> Evaluation:
    """Score every completed cell against the baseline and store scores and deltas."""
    from harness.evaluation import evaluate as evaluate_run

    begin = time.perf_counter()
    with lock_run(run):
        evaluation = evaluate_run(run, advance=advance) if callable(advance) else evaluate_run(run)
        append_time(run, "evaluate", time.perf_counter() - begin)
    return evaluation


def gate(run: Path) -> Judgement:
    """Hold every delta against its threshold and store the verdicts."""
    from harness.gating import judge

    begin = time.perf_counter()
    with lock_run(run):
        judgement = judge(run)
        append_time(run, "gate", time.perf_counter() - begin)
    return judgement


def report(run: Path, out: Path | None = None) -> Path:
    """Write the report of a run and return its index.html; works without GPU, torch or network."""
    from harness.reporting import write_report

    begin = time.perf_counter()
    index = write_report(run, out or report_folder(run))
    with contextlib.suppress(MachineError):  # results that cannot be written can be reported all the same
        append_time(run, "report", time.perf_counter() - begin)
    return index


def find(name: Path, results: Path = RESULTS) -> Path:
    """Return the run a person means: its folder, its name, `latest`, or the newest run of a matrix file."""
    if name.suffix == ".toml":
        digest = hashlib.sha256(load(name).text.encode()).hexdigest()
        found = find_run(results, lambda existing: existing.matrix_sha256 == digest)
        if found is None:
            raise ResultsError("this matrix has no run yet", str(name), f"Make one with: harness run {name}")
        return found
    return resolve_run(name, results)


def compare(first: Path, second: Path) -> list[dict[str, Any]]:
    """Return one row per cell that either run has: both latencies, how much faster the second is, both verdicts."""
    runs = [_summary(run) for run in (first, second)]
    rows = []
    for cell_id in dict.fromkeys([*runs[0], *runs[1]]):
        (latency_a, verdict_a), (latency_b, verdict_b) = (run.get(cell_id, (None, "absent")) for run in runs)
        rows.append(
            {
                "cell": cell_id,
                "latency_a_s": latency_a,
                "latency_b_s": latency_b,
                "speedup": latency_a / latency_b if latency_a and latency_b else None,
                "verdict_a": verdict_a,
                "verdict_b": verdict_b,
            }
        )
    return rows


def list_axes() -> list[dict[str, str]]:
    """Return one row per axis value: what it is, and whether it runs on this machine."""
    machine = describe_machine()
    rows = []
    for axis in all_axes():
        if axis.open_value is not None:
            free = resolve(f"harness.axes.{axis.name}", axis.open_value, AxisValue)
            rows.append({"axis": axis.name, "value": "…", "summary": free.summary, "here": "yes"})
        for name in value_names(axis.name):
            value = resolve_setting(Setting(axis=axis.name, name=name))
            missing = value.unavailable(machine)
            rows.append({"axis": axis.name, "value": name, "summary": value.summary, "here": str(missing or "yes")})
    return rows


def frame(run: Path) -> "pandas.DataFrame":
    """Return a run as a pandas frame, one row a cell."""
    from harness.reporting import frame as make_frame

    return make_frame(run)


def _summary(run: Path) -> dict[str, tuple[float | None, str]]:
    judgement = read_judgement(run)
    verdicts = {cell.cell_id: cell.result for cell in judgement.cells} if judgement else {}
    outcomes = read_outcomes(run)
    rows: dict[str, tuple[float | None, str]] = {}
    for planned in read_plan(run).compared:
        outcome = outcomes.get(planned.id)
        done = isinstance(outcome, Completed) and outcome.repeats
        latency = median(repeat.latency_s for repeat in outcome.repeats) / outcome.batch if done else None  # type: ignore[union-attr]
        own: str = outcome.status if outcome else "not run"
        own = "baseline" if own == "completed" and planned.role == "baseline" else own
        rows[planned.id] = (latency, verdicts.get(planned.id, own))
    return rows


def _guessed_rate(image_step_s: float) -> Rate:
    return Rate(image_step_s=image_step_s, source="a rough guess: nothing was measured on this machine yet")


def _same(existing: Plan, wanted: Plan) -> bool:
    """Whether an existing run is this one, begun earlier: the same matrix, model, machine, prompts and cells."""
    machines = [p.machine.model_dump(exclude={"git_commit", "git_dirty"}) for p in (existing, wanted)]
    return (
        existing.matrix_sha256 == wanted.matrix_sha256
        and existing.model.digest == wanted.model.digest
        and machines[0] == machines[1]
        and existing.prompts == wanted.prompts
        and [p.id for p in existing.cells] == [p.id for p in wanted.cells]
    )
