"""Trace a cell of a finished run once more: a worker as the run had, one trace, nothing else."""

from pathlib import Path
from typing import NamedTuple

from harness.core.errors import MachineError
from harness.core.outcome import Completed
from harness.core.plan import Plan, PlannedCell
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.launchers import Broken, Launcher
from harness.execution.ledger import Tell
from harness.execution.runner import Progress
from harness.execution.task import Task, make_task
from harness.execution.tracing import remove_scratch
from harness.store import write_outcome
from harness.store.layout import RunFolder
from harness.store.read import read_outcome


class Retracing(NamedTuple):
    """Whose cells are traced and by which workers; `notes` are put to every trace."""

    run: Path
    plan: Plan
    launcher: Launcher
    progress: Progress
    notes: tuple[str, ...]

    def retrace(self, planned: PlannedCell) -> None:
        """Give a completed cell a new trace; MachineError, and the old one stays, if that fails."""
        before = read_outcome(self.run, planned.id)
        if not isinstance(before, Completed):
            raise TypeError("only a completed cell is traced")
        self.progress.cell_began(planned)
        task = make_task(self.plan, planned, RunFolder(self.run).cell(planned.id))
        found = _trace(task, self.launcher, lambda step: self.progress.cell_advanced(planned, step))
        if isinstance(found, Absent):
            raise MachineError(f"no trace: {found.absent}", planned.id, "What was timed stays as it is.")
        trace = found.model_copy(update={"notes": found.notes + self.notes})
        still_true = tuple(caution for caution in before.warnings if caution.kind != "not-traced")
        write_outcome(self.run, planned.id, before.model_copy(update={"trace": trace, "warnings": still_true}))


def _trace(task: Task, launcher: Launcher, tell: Tell) -> Trace | Absent:
    """Return the trace of a worker that does nothing but this."""
    worker = None
    try:
        worker = launcher.open(task, tell)
        worker.prepare()
        return worker.trace()
    except Broken as broken:
        failed = broken.failed
        raise MachineError(f"it broke in {failed.phase}: {failed.message}", task.planned.id, failed.hint) from broken
    finally:
        if worker is not None:
            worker.close()
        remove_scratch(task.folder)
