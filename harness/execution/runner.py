"""Go through a plan: what is done stays, what is skipped is recorded, what remains is launched."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from harness.core.errors import MachineError
from harness.core.outcome import Completed, Extended, Failed, Outcome, Skipped
from harness.core.plan import Plan, PlannedCell
from harness.execution.launchers import Launcher
from harness.execution.reuse import reuse
from harness.execution.task import Step, make_task
from harness.store import begin_cell, read_outcomes, write_outcome
from harness.store.layout import RunFolder


class Progress(Protocol):
    """Hears what happens during a run."""

    def cell_began(self, planned: PlannedCell) -> None:
        """A cell is being measured."""

    def cell_advanced(self, planned: PlannedCell, step: Step) -> None:
        """A cell entered a phase, or got further in it."""

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        """A cell has its outcome."""


class SilentProgress:
    """Hears everything and says nothing."""

    def cell_began(self, planned: PlannedCell) -> None:
        pass

    def cell_advanced(self, planned: PlannedCell, step: Step) -> None:
        pass

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        pass


def run_plan(
    run: Path, plan: Plan, wanted: Mapping[str, int], launcher: Launcher, progress: Progress
) -> dict[str, Outcome]:
    """Give every planned cell its outcome, with images of as many prompts as `wanted` says, and return them all.

    What is there is not made again; a cell that failed, or was halted in a later round, is not tried again.
    Raises MachineError when results cannot be written: nothing already measured is lost.
    """
    outcomes = read_outcomes(run)
    for planned in plan.cells:
        before, count = outcomes.get(planned.id), wanted[planned.id]
        if before is not None and not (isinstance(before, Completed) and before.lacks(count)):
            continue
        begin = time.perf_counter()
        progress.cell_began(planned)
        work = _Work(run, plan, planned, launcher, progress)
        outcome = work.extend(before, count) if isinstance(before, Completed) else work.begin(count)
        outcome = _with_wall_time(outcome, time.perf_counter() - begin)
        write_outcome(run, planned.id, outcome)
        outcomes[planned.id] = outcome
        progress.cell_ended(planned, outcome, time.perf_counter() - begin)
    return outcomes


class _Work:
    """One cell at work: its first round, or a later one."""

    def __init__(self, run: Path, plan: Plan, planned: PlannedCell, launcher: Launcher, progress: Progress) -> None:
        self.run, self.plan, self.planned, self.launcher, self.progress = run, plan, planned, launcher, progress

    def begin(self, wanted: int) -> Outcome:
        """Return the outcome of a cell that has none."""
        if self.planned.skip is not None:
            return Skipped(reason=self.planned.skip)
        begin_cell(self.run, self.planned.id)
        reused = reuse(self.run, self.plan, self.planned, 0, wanted)
        if reused is not None:
            return reused
        begin_cell(self.run, self.planned.id)  # links left there are another run's images
        outcome = self._launch(0, wanted)
        if isinstance(outcome, Extended):
            raise TypeError("a first round is timed")
        return outcome

    def extend(self, before: Completed, wanted: int) -> Outcome:
        """Return a completed cell's outcome with more images; one that breaks keeps what it has and says why."""
        have = before.prompts
        reused = reuse(self.run, self.plan, self.planned, have, wanted)
        if reused is not None:
            return before.model_copy(update={"images": before.images + reused.images})
        added = self._launch(have, wanted)
        if isinstance(added, Failed):
            return before.model_copy(update={"halted": added})
        if isinstance(added, Completed):
            raise TypeError("a later round is not timed")
        return _joined(before, added)

    def _launch(self, have: int, wanted: int) -> Completed | Extended | Failed:
        folder = RunFolder(self.run).cell(self.planned.id)
        task = make_task(self.plan, self.planned, folder, have, wanted)
        outcome = self.launcher.launch(task, lambda step: self.progress.cell_advanced(self.planned, step))
        if isinstance(outcome, Failed) and outcome.kind == "disk-full":
            fix = "Free some space, then run the same command again: cells already measured are kept."
            raise MachineError("the disk is full", str(folder), fix)
        return outcome


def _joined(before: Completed, added: Extended) -> Completed:
    """Return a cell with the images and the wall time of another round."""
    phases = {
        phase: before.phases_s.get(phase, 0.0) + added.phases_s.get(phase, 0.0)
        for phase in {**before.phases_s, **added.phases_s}
    }
    return before.model_copy(update={"images": before.images + added.images, "phases_s": phases})


def _with_wall_time(outcome: Outcome, wall_s: float) -> Outcome:
    """Say how long a failure took: the ledger counts it."""
    if isinstance(outcome, Failed):
        return outcome.model_copy(update={"wall_s": wall_s})
    if isinstance(outcome, Completed) and outcome.halted is not None:
        return outcome.model_copy(update={"halted": outcome.halted.model_copy(update={"wall_s": wall_s})})
    return outcome
