"""Run a plan cell by cell, or trace a cell of a finished run again."""

import hashlib
import os
import shutil
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

from harness.core.errors import MachineError
from harness.core.outcome import UNTIMED, Completed, Extended, Failed, Memory, Outcome, Skipped
from harness.core.plan import Plan, PlannedCell, Prompt
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import Keep, Measurement, ignore
from harness.execution.task import Broken, Launcher, Task, WorkerProgress, make_task
from harness.execution.trace import remove_scratch
from harness.store import begin_cell, completed_twins, read_outcomes, write_outcome
from harness.store.layout import RunFolder
from harness.store.read import read_outcome


class Progress(Protocol):
    """Listener for the progress of a run."""

    def cell_began(self, planned: PlannedCell) -> None:
        """The measurement of a cell began."""

    def cell_advanced(self, planned: PlannedCell, step: WorkerProgress) -> None:
        """A cell entered a phase, or advanced in it."""

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        """A cell has its outcome."""


class SilentProgress:
    """Progress listener that discards all events."""

    def cell_began(self, planned: PlannedCell) -> None:
        pass

    def cell_advanced(self, planned: PlannedCell, step: WorkerProgress) -> None:
        pass

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        pass


def run_plan(
    run: Path, plan: Plan, wanted: Mapping[str, int], launcher: Launcher, progress: Progress
) -> dict[str, Outcome]:
    """Run all cells and return their outcomes; `wanted` is cell id → prompts to generate images of.

    Existing outcomes and images are kept; a failed or halted cell is not tried again. Raises
    MachineError if results cannot be written, which loses no earlier measurement.
    """
    outcomes = read_outcomes(run)
    baseline = plan.find(plan.baseline_id)
    baseline_worker = BaselineWorker(
        launcher, make_task(plan, baseline, RunFolder(run).cell(baseline.id))
    )
    try:
        for planned in plan.cells:
            before, count = outcomes.get(planned.id), wanted[planned.id]
            if before is not None and not (isinstance(before, Completed) and before.lacks(count)):
                continue
            begin = time.perf_counter()
            progress.cell_began(planned)
            measured = outcomes.get(baseline.id)
            comparable = isinstance(measured, Completed)
            if isinstance(measured, Completed):
                baseline_worker.used_bytes = measured.memory.device_used_bytes
            work = _CellRun(
                run, plan, planned, launcher, baseline_worker if comparable else None, progress
            )
            if isinstance(before, Completed):
                outcome = work.extend(before, count)
            else:
                outcome = work.begin(count)
            outcome = _with_wall_time(outcome, time.perf_counter() - begin)
            write_outcome(run, planned.id, outcome)
            outcomes[planned.id] = outcome
            progress.cell_ended(planned, outcome, time.perf_counter() - begin)
    finally:
        baseline_worker.close()
    return outcomes


class _CellRun(NamedTuple):
    """One cell in a run: its first measurement, or more images."""

    run: Path
    plan: Plan
    planned: PlannedCell
    launcher: Launcher
    baseline_worker: BaselineWorker | None
    progress: Progress

    def begin(self, wanted: int) -> Outcome:
        """Return the outcome of a new cell; its images may be reused from another run."""
        if self.planned.skip is not None:
            return Skipped(reason=self.planned.skip)
        begin_cell(self.run, self.planned.id)
        reused = reuse(self.run, self.plan, self.planned, 0, wanted)
        if reused is None:
            begin_cell(self.run, self.planned.id)  # removes links to another run's images
        elif not self.planned.timed:
            return reused
        pictured = self.plan.get_prompts(self.planned)[:wanted] if reused is None else ()
        made = self._measure(
            pictured,
            lambda found: write_outcome(self.run, self.planned.id, add_images(reused, found)),
        )
        if isinstance(made, Extended):
            raise TypeError("a first measurement is timed")
        return add_images(reused, made)

    def extend(self, before: Completed, wanted: int) -> Outcome:
        """Return the outcome with more images; a failure leaves it unchanged, with the reason."""
        have = before.prompts
        reused = reuse(self.run, self.plan, self.planned, have, wanted)
        if reused is not None:
            return before.model_copy(update={"images": before.images + reused.images})
        added = self._measure(self.plan.get_prompts(self.planned)[have:wanted])
        if isinstance(added, Failed):
            return before.model_copy(update={"halted": added})
        if isinstance(added, Completed):
            raise TypeError("more images are not timed")
        return before.extended(added)

    def _measure(
        self, pictured: tuple[Prompt, ...], keep: Keep | None = None
    ) -> Completed | Extended | Failed:
        """Measure the cell; without `keep`, only generate images."""
        folder = RunFolder(self.run).cell(self.planned.id)
        task = make_task(self.plan, self.planned, folder, pictured, timed=keep is not None)
        notify = partial(self.progress.cell_advanced, self.planned)
        outcome = Measurement(task, self.launcher, notify, keep or ignore).measure(
            self.baseline_worker
        )
        if isinstance(outcome, Failed) and outcome.kind == "disk-full":
            fix = "Free some space, then run the same command again: measured cells are kept."
            raise MachineError("the disk is full", str(folder), fix)
        return outcome


def _with_wall_time(outcome: Outcome, wall_s: float) -> Outcome:
    """Record how long a failure took."""
    if isinstance(outcome, Failed):
        return outcome.model_copy(update={"wall_s": wall_s})
    if isinstance(outcome, Completed) and outcome.halted is not None:
        halted = outcome.halted.model_copy(update={"wall_s": wall_s})
        return outcome.model_copy(update={"halted": halted})
    return outcome


def reuse(run: Path, plan: Plan, planned: PlannedCell, have: int, wanted: int) -> Completed | None:
    """Link the images of prompts `have` to `wanted` from an earlier run with the same content.

    Returns an outcome with these images and without that run's measurements, or None if no run has
    all of them undamaged. Only the baseline's rerun and other-seed run reuse images; timing is
    never reused.
    """
    if planned.role not in ("rerun", "other-seed"):
        return None
    prompts, seeds = plan.get_prompts(planned)[have:wanted], plan.get_seeds(planned)
    keys = [(prompt.id, seed) for prompt in prompts for seed in seeds]
    here = RunFolder(run).cell(planned.id)
    for source, cell_id, outcome in completed_twins(run.parent, planned.content_key):
        by_key = {image.key: image for image in outcome.images}
        if not set(keys) <= by_key.keys():
            continue
        images = tuple(by_key[key] for key in keys)
        there = RunFolder(source).cell(cell_id)
        if all(_link(there / image.path, here / image.path, image.sha256) for image in images):
            return _without_measurements(outcome, source.name).model_copy(update={"images": images})
        for image in images:  # a new image must not be written through a link into that run
            (here / image.path).unlink(missing_ok=True)
    return None


def _without_measurements(outcome: Completed, source: str) -> Completed:
    """Return what holds for a cell in every run, without that run's cost, timing and files."""
    elsewhere = Absent(absent=f"its images were reused from {source}")
    return Completed(
        cold_start=elsewhere,
        warmup_s=(),
        batch=outcome.batch,
        images=(),
        denoiser_calls=outcome.denoiser_calls,
        weights_bytes=outcome.weights_bytes,
        memory=Memory.model_validate(dict.fromkeys(Memory.model_fields, elsewhere)),
        roofline=elsewhere,
        threads=outcome.threads,
        phases_s={},
        trace=elsewhere,
        reused_from=source,
    )


def add_images(reused: Completed | None, made: Completed | Failed) -> Completed | Failed:
    """Return a measurement with reused images, which stay even if the measurement failed."""
    if reused is None:
        return made
    if isinstance(made, Failed):
        why = f"not timed: {made.kind} in {made.phase}: {made.message}"
        return reused.model_copy(update={"pairing": UNTIMED.model_copy(update={"stopped": why})})
    return made.model_copy(update={"images": reused.images, "reused_from": reused.reused_from})


def _link(origin: Path, target: Path, sha256: str) -> bool:
    """Link or copy a file; return whether it is the recorded image."""
    try:
        target.unlink(missing_ok=True)  # of an interrupted run
        os.link(origin, target)
    except OSError:
        try:
            shutil.copyfile(origin, target)
        except OSError:
            return False
    return hashlib.sha256(target.read_bytes()).hexdigest() == sha256


class Retracing(NamedTuple):
    """Traces cells of a finished run; `notes` are added to every trace."""

    run: Path
    plan: Plan
    launcher: Launcher
    progress: Progress
    notes: tuple[str, ...]

    def retrace(self, planned: PlannedCell) -> None:
        """Replace the trace of a completed cell; if that fails, MachineError, and it stays."""
        before = read_outcome(self.run, planned.id)
        if not isinstance(before, Completed):
            raise TypeError("only a completed cell is traced")
        self.progress.cell_began(planned)
        task = make_task(self.plan, planned, RunFolder(self.run).cell(planned.id))
        found = self._trace(task)
        if isinstance(found, Absent):
            what = f"no trace: {found.absent}"
            raise MachineError(what, planned.id, "The measurements of the run are unchanged.")
        trace = found.model_copy(update={"notes": found.notes + self.notes})
        warnings = tuple(caution for caution in before.warnings if caution.kind != "not-traced")
        outcome = before.model_copy(update={"trace": trace, "warnings": warnings})
        write_outcome(self.run, planned.id, outcome)

    def _trace(self, task: Task) -> Trace | Absent:
        worker = None
        try:
            worker = self.launcher.open(task, partial(self.progress.cell_advanced, task.planned))
            worker.prepare()
            return worker.trace()
        except Broken as broken:
            failed = broken.failed
            what = f"the cell failed in {failed.phase}: {failed.message}"
            raise MachineError(what, task.planned.id, failed.hint) from broken
        finally:
            if worker is not None:
                worker.close()
            remove_scratch(task.folder)
