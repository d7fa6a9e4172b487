"""Workers that do nothing and do it in no time: what they were asked, in order, and what goes wrong on demand."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import api
from harness.core.model import Footprint
from harness.core.outcome import Caution, ColdStart, Completed, Extended, Failed, FailureKind, Image
from harness.core.plan import Plan
from harness.core.timing import Repeat
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import Measurement, ignore
from harness.execution.task import Broken, Notify, Task, WorkerProgress, make_task
from tests.builders.fake_run import MATRIX, write_matrix

BASELINE, CELL = "50-steps_fp32", "4-steps_fp32"
SECONDS = {BASELINE: 0.4, CELL: 0.1}
"""What a call of each takes: the cell is four times as fast."""
IMAGE = Image(prompt_id="a", seed=0, path="images/a_0.png", sha256="0")


def failed(kind: FailureKind, message: str = "gone") -> Broken:
    return Broken(Failed(kind=kind, phase="repeats", message=message))


class Script:
    """What happens to whom: `breaks` maps (cell id, command) to what it raises, one after the other; None is well."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.breaks: dict[tuple[str, str], list[Broken | None]] = {}
        self.alive: list[str] = []
        self.most_alive = 0
        self.factors: Iterator[float] | None = None

    def hear(self, cell_id: str, command: str) -> None:
        self.asked.append((cell_id, command))
        queue = self.breaks.get((cell_id, command), [])
        broken = queue.pop(0) if queue else None
        if broken is not None:
            raise broken

    def blocks(self) -> str:
        """Return who made the calls of each block: b the baseline, c the cell."""
        return "".join("b" if who == BASELINE else "c" for who, command in self.asked if command == "block")


class ScriptedWorker:
    """One worker of the script."""

    def __init__(self, script: Script, task: Task) -> None:
        self.script, self.task = script, task
        self.pid = 1000 + len(script.asked)
        self.id = task.planned.id
        script.hear(self.id, "open")
        script.alive.append(self.id)
        script.most_alive = max(script.most_alive, len(script.alive))

    def prepare(self) -> tuple[float, ...]:
        self.script.hear(self.id, "prepare")
        return (SECONDS.get(self.id, 0.4),)

    def block(self, calls: int) -> tuple[Repeat, ...]:
        self.script.hear(self.id, "block")
        factor = next(self.script.factors) if self.script.factors else 1.0
        return (Repeat(latency_s=SECONDS.get(self.id, 0.4) * factor),) * calls

    def rest(self) -> None:
        self.script.hear(self.id, "rest")

    def finish(self) -> Completed | Extended:
        self.script.hear(self.id, "finish")
        if not self.task.timed:
            return Extended(
                images=(IMAGE,), phases_s={"load": 1.0}, warnings=(Caution(kind="limit", message="little"),)
            )
        return Completed(
            cold_start=ColdStart(start_s=0, load_s=0, apply_s=0, compile_s=0, first_call_s=0),
            warmup_s=(0.1,),
            batch=1,
            images=(),
            denoiser_calls=4,
            weights_bytes={},
            threads=1,
            phases_s={"load": 1.0},
        )

    def trace(self) -> Trace | Absent:
        self.script.hear(self.id, "trace")
        return Trace(path="trace.json.gz", size_bytes=1, steps=2)

    def close(self) -> None:
        self.script.asked.append((self.id, "close"))
        self.script.alive.remove(self.id)


class ScriptedLauncher:
    """Opens the workers of a script."""

    separate = True

    def __init__(self, script: Script) -> None:
        self.script = script

    def prepare(self) -> None:
        """Nothing is needed."""

    def open(self, task: Task, notify: Notify) -> ScriptedWorker:
        return ScriptedWorker(self.script, task)

    def close(self) -> None:
        """Nothing is held."""


def plan_of(folder: Path, measure: str = "max_s = 60") -> Plan:
    text = MATRIX.replace("min_s = 0\nmax_s = 0.1", measure).replace("steps = [50, 20, 4]", "steps = [50, 4]")
    return api.plan(api.load(write_matrix(folder, text)), results=folder / "results")


def task_of(plan: Plan, cell_id: str, change: Callable[[Task], Task] = lambda task: task) -> Task:
    return change(make_task(plan, plan.find(cell_id), Path()))


def worker_of(plan: Plan, change: Callable[[Task], Task] = lambda task: task) -> BaselineWorker:
    """Return the baseline's worker, alive."""
    worker = BaselineWorker(ScriptedLauncher(Script()), task_of(plan, plan.baseline_id, change))
    worker.pid  # noqa: B018 - starts it
    return worker


def measured(script: Script, task: Task, plan: Plan, told: list[WorkerProgress] | None = None) -> Completed | Failed:
    launcher = ScriptedLauncher(script)
    baseline_worker = BaselineWorker(launcher, task_of(plan, plan.baseline_id))
    notify = told.append if told is not None else lambda step: None
    outcome = Measurement(task, launcher, notify, ignore).measure(baseline_worker)
    baseline_worker.close()
    assert script.alive == []
    assert isinstance(outcome, Completed | Failed)
    return outcome


def completed(outcome: Completed | Failed) -> Completed:
    assert isinstance(outcome, Completed), outcome
    return outcome


def paired(monkeypatch: pytest.MonkeyPatch, free: float, needs: float) -> Any:
    """Let a device have so much free memory, and both cells need so much, half of it for their weights.

    Return the change of a task.
    """
    monkeypatch.setattr("harness.execution.cell.read_free_bytes", lambda device: free)
    half = {"denoiser": needs / 2}
    update = {"needs": Footprint(weights=half, activations=half)}
    return lambda task: task.model_copy(update={"planned": task.planned.model_copy(update=update)})
