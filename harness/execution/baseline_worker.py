"""The baseline's process, kept alive while other cells are compared with it."""

from harness.core.timing import Repeat
from harness.execution.pairing import Turn
from harness.execution.stopping_rule import calls_of
from harness.execution.task import (
    Broken,
    Launcher,
    PartnerLost,
    Step,
    Task,
    Tell,
    Worker,
    is_crowded,
)  # fmt: skip


class Partner:
    """Starts the baseline's worker on first use; after a failure, restarts it once per cell."""

    def __init__(self, launcher: Launcher, task: Task) -> None:
        self.task = task
        self._launcher = launcher
        self._worker: Worker | None = None
        self._tell: Tell = _ignore
        self._revived = False

    @property
    def alive(self) -> bool:
        return self._worker is not None

    @property
    def pid(self) -> int:
        return self._open().pid

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls of the baseline; may raise Broken."""
        return self._open().block(calls)

    def begin(self, tell: Tell) -> None:
        """Get ready for another cell and report progress to `tell`; may raise PartnerLost.

        It releases memory, so that the cell finds as much as after later rests.
        """
        self._tell, self._revived = tell, False
        try:
            self._open()
        except Broken as broken:
            self._revive(broken)
        self.rest()

    def turn(self) -> Turn:
        """Return the source of the baseline's blocks, after a warm-up call; may raise PartnerLost.

        While the other process worked, memory was released and processor caches were replaced.
        """
        while True:
            try:
                (warmup,) = self.block(1)
                calls = calls_of(warmup.latency_s, self.task.measure)
                return Turn("baseline", self, calls, self._revive)
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
                self.task, lambda step: self._tell(Step("partner", note=step.phase))
            )
            self._worker.prepare()
        return self._worker

    def _revive(self, broken: Broken) -> None:
        self.close()
        if self._revived or is_crowded(broken.failed):
            raise PartnerLost(broken.failed) from broken
        self._revived = True
        try:
            self._open()
        except Broken as again:
            self.close()
            raise PartnerLost(again.failed) from again


def _ignore(step: Step) -> None:
    """Discard progress."""
