"""The baseline's process, kept alive while other cells are compared with it."""

from harness.core.timing import Repeat
from harness.core.units import Absent
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
)  # fmt: skip


class BaselineWorker:
    """Starts the baseline's worker on first use; after a failure, restarts it once per cell."""

    def __init__(self, launcher: Launcher, task: Task) -> None:
        self.task = task
        self.used_bytes: int | Absent = Absent(absent="the baseline was not measured yet")
        """The most memory of the device that the measured baseline used."""
        self._launcher = launcher
        self._worker: Worker | None = None
        self._notify: Notify = _ignore
        self._revived = False

    @property
    def alive(self) -> bool:
        return self._worker is not None

    @property
    def surplus_bytes(self) -> float:
        """What the measured baseline needed more than its footprint, a lower bound; 0 if unknown.

        The device's context and a VAE that is cast to fp32 take it: other cells need it too.
        """
        needs = self.task.planned.needs
        if needs is None or isinstance(self.used_bytes, Absent):
            return 0.0
        return max(0.0, self.used_bytes - needs.needed)

    @property
    def pid(self) -> int:
        return self._open().pid

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls of the baseline; may raise Broken."""
        return self._open().block(calls)

    def begin(self, notify: Notify) -> None:
        """Get ready for another cell and report progress to `notify`; may raise BaselineWorkerLost.

        It releases memory, so that the cell finds as much as after later rests.
        """
        self._notify, self._revived = notify, False
        try:
            self._open()
        except Broken as broken:
            self._revive(broken)
        self.rest()

    def source(self) -> BlockSource:
        """Return the source of the baseline's blocks, after a warm-up call.

        May raise BaselineWorkerLost.

        While the other process worked, memory was released and processor caches were replaced.
        """
        while True:
            try:
                (warmup,) = self.block(1)
                calls = count_calls(warmup.latency_s, self.task.measure)
                return BlockSource("baseline", self, calls, self._revive)
            except Broken as broken:
                self._revive(broken)

    def rest(self) -> None:
        """Release memory until the next block."""
        if self._worker is not None:
            try:
                self._worker.rest()
            except Broken:
                self.close()

    def close(self) -> None:
        """End the process."""
        if self._worker is not None:
            self._worker.close()
        self._worker = None

    def _open(self) -> Worker:
        if self._worker is None:
            self._worker = self._launcher.open(
                self.task,
                lambda step: self._notify(WorkerProgress("baseline_worker", note=step.phase)),
            )
            self._worker.prepare()
        return self._worker

    def _revive(self, broken: Broken) -> None:
        self.close()
        if self._revived or is_crowded(broken.failed):
            raise BaselineWorkerLost(broken.failed) from broken
        self._revived = True
        try:
            self._open()
        except Broken as again:
            self.close()
            raise BaselineWorkerLost(again.failed) from again


def _ignore(step: WorkerProgress) -> None:
    """Discard progress."""
