"""The baseline in a process of its own, alive beside the cells that are compared with it."""

from harness.core.timing import Repeat
from harness.execution.pairing import BlockSource
from harness.execution.stopping_rule import count_calls
from harness.execution.task import (
    BaselineWorkerLost,
    Broken,
    Launcher,
    Notify,
    Task,
    Worker,
    WorkerProgress,
    is_crowded,
)


class BaselineWorker:
    """Starts the baseline's worker when it is wanted first, and anew where it broke: once for each cell."""

    def __init__(self, launcher: Launcher, task: Task) -> None:
        self.task = task
        self._launcher = launcher
        self._worker: Worker | None = None
        self._notify: Notify = _silent
        self._revived = False

    @property
    def alive(self) -> bool:
        return self._worker is not None

    @property
    def pid(self) -> int:
        return self._open().pid

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls of the baseline; raises Broken."""
        return self._open().block(calls)

    def begin(self, notify: Notify) -> None:
        """Be there for another cell, whose progress this is; raises PartnerLost.

        It rests: what the cell's process finds free is to be the same with it as after its next rest.
        """
        self._notify, self._revived = notify, False
        try:
            self._open()
        except Broken as broken:
            self._revive(broken)
        self.rest()

    def source(self) -> BlockSource:
        """Return the baseline's side of a pairing, after a call that wakes it up; raises PartnerLost.

        While others worked, its memory was given back, and the processor's caches hold other things.
        """
        while True:
            try:
                (awake,) = self.block(1)
                return BlockSource("baseline", self, count_calls(awake.latency_s, self.task.measure), self._revive)
            except Broken as broken:
                self._revive(broken)

    def rest(self) -> None:
        """Give back memory until the next turn."""
        if self._worker is not None:
            try:
                self._worker.rest()
            except Broken:
                self.close()

    def close(self) -> None:
        """End the process, so that a cell has the device to itself."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def _open(self) -> Worker:
        if self._worker is None:
            self._worker = self._launcher.open(
                self.task, lambda step: self._notify(WorkerProgress("baseline_worker", note=step.phase))
            )
            self._worker.prepare()
        return self._worker

    def _revive(self, broken: Broken) -> None:
        """Start it anew where that may help."""
        self.close()
        if self._revived or is_crowded(broken.failed):
            raise BaselineWorkerLost(broken.failed) from broken
        self._revived = True
        try:
            self._open()
        except Broken as again:
            self.close()
            raise BaselineWorkerLost(again.failed) from again


def _silent(step: WorkerProgress) -> None:
    """Tell nobody."""
