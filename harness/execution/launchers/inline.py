"""Run cells in this process: for debugging and quick tests; a crash takes everything with it."""

import os
import traceback
from collections.abc import Callable
from typing import TypeVar

from harness.core.outcome import Completed, Extended, Memory
from harness.core.timing import Repeat
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.failures import describe_exception
from harness.execution.launchers import Broken
from harness.execution.ledger import Ledger, Tell
from harness.execution.task import Task
from harness.execution.worker import CellWork
from harness.measure.machine import count_by_bus

Answer = TypeVar("Answer")
SHARED = Memory.model_validate(dict.fromkeys(Memory.model_fields, Absent(absent="ran in the harness's own process")))
"""The baseline, the profiler and all cells before are in what this process holds."""


class InlineWorker:
    """A cell that works in this process."""

    def __init__(self, task: Task, tell: Tell) -> None:
        self.pid = os.getpid()
        self._ledger = Ledger(tell)
        self._work = self._obey(lambda: CellWork(task, self._ledger, start_s=0.0))

    def prepare(self) -> tuple[float, ...]:
        return self._obey(self._work.prepare)

    def block(self, calls: int) -> tuple[Repeat, ...]:
        return self._obey(lambda: self._work.block(calls))

    def rest(self) -> None:
        self._obey(self._work.rest)

    def finish(self) -> Completed | Extended:
        made = self._obey(self._work.finish)
        return made.model_copy(update={"memory": SHARED}) if isinstance(made, Completed) else made

    def trace(self) -> Trace | Absent:
        return self._obey(self._work.trace)

    def close(self) -> None:
        """Nothing is held."""

    def _obey(self, command: Callable[[], Answer]) -> Answer:
        try:
            return command()
        except Exception as error:
            log = traceback.format_exc()[-4000:]
            raise Broken(describe_exception(error, self._ledger.phase, log)) from error


class InlineLauncher:
    """Lets cells work in this process, one at a time."""

    def __init__(self) -> None:
        count_by_bus()

    def prepare(self) -> None:
        """Nothing is needed."""

    def open(self, task: Task, tell: Tell) -> InlineWorker:
        return InlineWorker(task, tell)

    def close(self) -> None:
        """Nothing is held."""
