"""Run a cell in this process: for debugging and quick tests; a crash takes everything with it."""

import traceback
from collections.abc import Callable

from harness.core.outcome import Completed, Extended, Failed
from harness.execution.failures import describe_exception
from harness.execution.task import Step, Task
from harness.execution.worker import Ledger, measure_cell


class InlineLauncher:
    """Runs tasks one after the other in this process."""

    def prepare(self) -> None:
        """Nothing is needed."""

    def launch(self, task: Task, tell: Callable[[Step], None]) -> Completed | Extended | Failed:
        ledger = Ledger(tell)
        try:
            return measure_cell(task, ledger, start_s=0.0)
        except Exception as error:
            return describe_exception(error, ledger.phase, traceback.format_exc()[-4000:])

    def close(self) -> None:
        """Nothing is held."""
