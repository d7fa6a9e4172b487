"""Where a cell runs: in this process, or in one of its own."""

from collections.abc import Callable
from typing import Protocol

from harness.core.outcome import Completed, Extended, Failed
from harness.execution.task import Step, Task


class Launcher(Protocol):
    """Runs one task and returns what became of it; never raises for what the cell did."""

    def prepare(self) -> None:
        """Do once what all tasks need, before any is timed."""

    def launch(self, task: Task, tell: Callable[[Step], None]) -> Completed | Extended | Failed:
        """Run the task, telling its progress."""

    def close(self) -> None:
        """Give back what the launcher holds."""
