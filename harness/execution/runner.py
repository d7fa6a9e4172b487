"""Go through a plan: what is done stays, what is skipped is recorded, what remains is launched."""

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.core.errors import MachineError
from harness.core.outcome import Completed, Extended, Failed, Outcome, Skipped
from harness.core.plan import Plan, PlannedCell, Prompt
from harness.execution.launchers import Launcher
from harness.execution.measuring import Keep, Measurement, ignore
from harness.execution.partner import Partner
from harness.execution.reuse import reuse, with_images_of
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
    baseline = plan.find(plan.baseline_id)
    stage = _Stage(run, plan, launcher, Partner(launcher, make_task(plan, baseline, _folder(run, baseline))), progress)
    try:
        for planned in plan.cells:
            before, count = outcomes.get(planned.id), wanted[planned.id]
            if before is not None and not (isinstance(before, Completed) and before.lacks(count)):
                continue
            begin = time.perf_counter()
            progress.cell_began(planned)
            work = _Work(stage, planned, isinstance(outcomes.get(baseline.id), Completed))
            outcome = work.extend(before, count) if isinstance(before, Completed) else work.begin(count)
            outcome = _with_wall_time(outcome, time.perf_counter() - begin)
            write_outcome(run, planned.id, outcome)
            outcomes[planned.id] = outcome
            progress.cell_ended(planned, outcome, time.perf_counter() - begin)
    finally:
        stage.partner.close()
    return outcomes


class _Stage(NamedTuple):
    """What all cells of a run are measured with."""

    run: Path
    plan: Plan
    launcher: Launcher
    partner: Partner
    progress: Progress


class _Work:
    """One cell at work: its first round, or a later one."""

    def __init__(self, stage: _Stage, planned: PlannedCell, comparable: bool) -> None:
        self.run, self.plan, self.launcher, partner, self.progress = stage
        self.planned = planned
        self.partner = partner if comparable else None

    def begin(self, wanted: int) -> Outcome:
        """Return the outcome of a cell that has none; images may be taken over, what is timed is timed now."""
        if self.planned.skip is not None:
            return Skipped(reason=self.planned.skip)
        begin_cell(self.run, self.planned.id)
        reused = reuse(self.run, self.plan, self.planned, 0, wanted)
        if reused is None:
            begin_cell(self.run, self.planned.id)  # links left there are another run's images
        elif not self.planned.timed:
            return reused
        pictured = self.plan.prompts_of(self.planned)[:wanted] if reused is None else ()
        made = self._measure(pictured, lambda found: self._keep(with_images_of(reused, found)))
        if isinstance(made, Extended):
            raise TypeError("a first round is timed")
        return with_images_of(reused, made)

    def extend(self, before: Completed, wanted: int) -> Outcome:
        """Return a completed cell's outcome with more images; one that breaks keeps what it has and says why."""
        have = before.prompts
        reused = reuse(self.run, self.plan, self.planned, have, wanted)
        if reused is not None:
            return before.model_copy(update={"images": before.images + reused.images})
        added = self._measure(self.plan.prompts_of(self.planned)[have:wanted])
        if isinstance(added, Failed):
            return before.model_copy(update={"halted": added})
        if isinstance(added, Completed):
            raise TypeError("a later round is not timed")
        return before.extended(added)

    def _measure(self, pictured: tuple[Prompt, ...], keep: Keep | None = None) -> Completed | Extended | Failed:
        """Measure it in a first round, where there is something to `keep`; else only make its images."""
        folder = _folder(self.run, self.planned)
        task = make_task(self.plan, self.planned, folder, pictured, timed=keep is not None)
        tell = partial(self.progress.cell_advanced, self.planned)
        outcome = Measurement(task, self.launcher, tell, keep or ignore).measured(self.partner)
        if isinstance(outcome, Failed) and outcome.kind == "disk-full":
            fix = "Free some space, then run the same command again: cells already measured are kept."
            raise MachineError("the disk is full", str(folder), fix)
        return outcome

    def _keep(self, outcome: Outcome) -> None:
        write_outcome(self.run, self.planned.id, outcome)


def _folder(run: Path, planned: PlannedCell) -> Path:
    return RunFolder(run).cell(planned.id)


def _with_wall_time(outcome: Outcome, wall_s: float) -> Outcome:
    """Say how long a failure took: the ledger counts it."""
    if isinstance(outcome, Failed):
        return outcome.model_copy(update={"wall_s": wall_s})
    if isinstance(outcome, Completed) and outcome.halted is not None:
        return outcome.model_copy(update={"halted": outcome.halted.model_copy(update={"wall_s": wall_s})})
    return outcome
