"""Go through a plan: what is done stays, what is skipped is recorded, what remains is launched."""

import os
import shutil
import time
from pathlib import Path
from typing import Protocol

from harness.core.errors import MachineError
from harness.core.outcome import Completed, Failed, Outcome, Skipped
from harness.core.plan import Plan, PlannedCell
from harness.execution.launchers import Launcher
from harness.execution.task import Step, make_task
from harness.store import begin_cell, find_completed, read_outcomes, write_outcome
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


def run_plan(run: Path, plan: Plan, launcher: Launcher, progress: Progress) -> dict[str, Outcome]:
    """Give every planned cell its outcome and return them all; cells that have one are not run again.

    Raises MachineError when results cannot be written: nothing already measured is lost.
    """
    outcomes = read_outcomes(run)
    for planned in plan.cells:
        if planned.id in outcomes:
            continue
        begin = time.perf_counter()
        progress.cell_began(planned)
        outcome = _settle(run, plan, planned, launcher, progress)
        if isinstance(outcome, Failed):
            outcome = outcome.model_copy(update={"wall_s": time.perf_counter() - begin})
        write_outcome(run, planned.id, outcome)
        outcomes[planned.id] = outcome
        progress.cell_ended(planned, outcome, time.perf_counter() - begin)
    return outcomes


def _settle(run: Path, plan: Plan, planned: PlannedCell, launcher: Launcher, progress: Progress) -> Outcome:
    if planned.skip is not None:
        return Skipped(reason=planned.skip)
    folder = begin_cell(run, planned.id)
    if planned.role in ("rerun", "other-seed"):
        reused = _reuse(run, planned)
        if reused is not None:
            return reused
        folder = begin_cell(run, planned.id)  # links left there are another run's images
    outcome = launcher.launch(make_task(plan, planned, folder), lambda step: progress.cell_advanced(planned, step))
    if isinstance(outcome, Failed) and outcome.kind == "disk-full":
        fix = "Free some space, then run the same command again: cells already measured are kept."
        raise MachineError("the disk is full", str(folder), fix)
    return outcome


def _reuse(run: Path, planned: PlannedCell) -> Completed | None:
    """Take an extra baseline run from an earlier run with exactly the same content: links, not copies."""
    found = find_completed(run.parent, planned.content_key)
    if found is None:
        return None
    source, cell_id, outcome = found
    for image in outcome.images:
        origin = RunFolder(source).cell(cell_id) / image.path
        target = RunFolder(run).cell(planned.id) / image.path
        try:
            os.link(origin, target)
        except OSError:
            try:
                shutil.copyfile(origin, target)
            except OSError:
                return None
    return outcome.model_copy(update={"reused_from": source.name, "phases_s": {}, "traces": ()})
