"""Where a cell runs: in this process, or in one of its own."""

from typing import Protocol

from harness.core.outcome import Completed, Extended, Failed
from harness.core.timing import Repeat
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.ledger import Tell
from harness.execution.task import Task


class Broken(Exception):
    """A worker that broke and will work no more: how it ended."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


class Worker(Protocol):
    """One cell, ready to do as it is told; between two commands it does nothing. Each command raises Broken."""

    pid: int

    def prepare(self) -> tuple[float, ...]:
        """Load, apply, compile and warm up: the first command. Return the seconds of each warm-up call."""

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls, one right after the other."""

    def rest(self) -> None:
        """Give back the memory that is kept for the next call."""

    def finish(self) -> Completed | Extended:
        """Return the cell's outcome, but for what the one who asked for its blocks knows: they themselves."""

    def trace(self) -> Trace | Absent:
        """Trace one call."""

    def close(self) -> None:
        """End it, whatever it is doing."""


class Launcher(Protocol):
    """Starts workers, as many at a time as are wanted."""

    def prepare(self) -> None:
        """Do once what all workers need, before anything is timed."""

    def open(self, task: Task, tell: Tell) -> Worker:
        """Start a worker for this task, which tells its progress while it obeys."""

    def close(self) -> None:
        """Give back what the launcher holds."""
