"""Run a plan cell by cell, or trace a cell of a finished run again."""

import hashlib
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

from harness.core.errors import MachineError
from harness.core.outcome import UNTIMED, Completed, Extended, Failed, Memory, Outcome, Skipped
from harness.core.plan import Plan, PlannedCell, Prompt
from harness.core.timing import Block, Pairing, TimingSession
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.cell import Keep, Measurement, ignore
from harness.execution.rounds import SharedRounds, group_cells
from harness.execution.task import Broken, Launcher, Task, WorkerProgress, make_task
from harness.execution.trace import remove_scratch
from harness.store import (
    begin_cell,
    completed_twins,
    read_outcomes,
    read_rounds,
    write_outcome,
    write_rounds,
)
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
    baseline = plan.find(plan.baseline_id)
    worker = BaselineWorker(launcher, make_task(plan, baseline, RunFolder(run).cell(baseline.id)))
    running = _PlanRun(run, plan, wanted, launcher, worker, progress, read_outcomes(run))
    try:
        running.run()
    finally:
        worker.close()
    return running.outcomes


@dataclass
class _PlanRun:
    """A run in progress: the baseline first, then cells in shared rounds, then the others."""

    run_folder: Path
    plan: Plan
    wanted: Mapping[str, int]
    launcher: Launcher
    baseline_worker: BaselineWorker
    progress: Progress
    outcomes: dict[str, Outcome]

    def run(self) -> None:
        """Run every cell that has no outcome, or not all wanted images."""
        for planned in self.plan.cells:
            if planned.role == "baseline" and self._is_pending(planned):
                self._run_cell(planned)
        if self.launcher.separate:
            self._share_rounds()
        for planned in self.plan.cells:
            if self._is_pending(planned):
                self._run_cell(planned)

    def _is_pending(self, planned: PlannedCell) -> bool:
        before = self.outcomes.get(planned.id)
        lacks = isinstance(before, Completed) and before.lacks(self.wanted[planned.id])
        return before is None or lacks

    def _find_baseline(self) -> BaselineWorker | None:
        """Return the baseline's worker if the baseline completed."""
        measured = self.outcomes.get(self.plan.baseline_id)
        if not isinstance(measured, Completed):
            return None
        self.baseline_worker.used_bytes = measured.memory.peak_bytes
        return self.baseline_worker

    def _start(self, planned: PlannedCell) -> "_CellRun":
        return _CellRun(
            self.run_folder, self.plan, planned, self.launcher, self._find_baseline(), self.progress
        )

    def _run_cell(self, planned: PlannedCell) -> None:
        """Run one cell; it is timed with the baseline alone."""
        found, count = self.outcomes.get(planned.id), self.wanted[planned.id]
        before = found if isinstance(found, Completed) else None
        begin = time.perf_counter()
        self.progress.cell_began(planned)
        work = self._start(planned)
        outcome = work.extend(before, count) if before else work.begin(count)
        self._end_cell(planned, outcome, time.perf_counter() - begin)

    def _end_cell(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        outcome = _with_wall_time(outcome, wall_s)
        write_outcome(self.run_folder, planned.id, outcome)
        self.outcomes[planned.id] = outcome
        self.progress.cell_ended(planned, outcome, wall_s)

    def _share_rounds(self) -> None:
        """Time cells that fit into memory together in shared rounds, group by group."""
        baseline_worker = self._find_baseline()
        if baseline_worker is None:
            return
        waiting = [
            planned
            for planned in self.plan.cells
            if planned.id not in self.outcomes and planned.timed and planned.skip is None
        ]
        begun = {
            planned.id: self._start(planned).prepare(self.wanted[planned.id]) for planned in waiting
        }
        cells = [one.measurement for one in begun.values() if one.measurement.shares_rounds]
        for group in group_cells(cells, baseline_worker):
            if len(group) > 1:
                self._measure_group(group, begun)

    def _measure_group(self, group: Sequence[Measurement], begun: "Mapping[str, _Begun]") -> None:
        def end(cell: Measurement, found: Completed | Failed) -> None:
            planned = cell.task.planned
            refuse_full_disk(found, cell.task.folder)
            outcome = add_images(begun[planned.id].reused, found)
            self._end_cell(planned, outcome, cell.wall_s)

        def keep(cell: Measurement, pairing: Pairing) -> None:
            write_rounds(self.run_folder, cell.task.planned.id, pairing)

        for cell in group:
            self.progress.cell_began(cell.task.planned)
        first = max(cell.recorder.next_round for cell in group)
        session = TimingSession(id=uuid4().hex, first_round=first)
        SharedRounds(self.baseline_worker, session, end, keep).measure(group)


class _Begun(NamedTuple):
    """A cell that is about to be timed, and the images it already has from another run."""

    measurement: Measurement
    reused: Completed | None


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
        begun = self.prepare(wanted)
        if begun.reused is not None and not self.planned.timed:
            return begun.reused
        made = self._measure(begun.measurement)
        if isinstance(made, Extended):
            raise TypeError("a first measurement is timed")
        return add_images(begun.reused, made)

    def prepare(self, wanted: int) -> "_Begun":
        """Return a new cell's measurement; its images may be reused from another run."""
        kept = read_rounds(self.run, self.planned.id)
        begin_cell(self.run, self.planned.id)
        reused = reuse(self.run, self.plan, self.planned, 0, wanted)
        if reused is None:
            begin_cell(self.run, self.planned.id)  # removes links to another run's images
        if kept is not None:
            write_rounds(self.run, self.planned.id, kept)

        def keep(found: Completed) -> None:
            write_outcome(self.run, self.planned.id, add_images(reused, found))

        image_prompts = self.plan.get_prompts(self.planned)[:wanted] if reused is None else ()
        measurement = self._make_measurement(image_prompts, keep, kept.blocks if kept else ())
        return _Begun(measurement, reused)

    def extend(self, before: Completed, wanted: int) -> Outcome:
        """Return the outcome with more images; a failure leaves it unchanged, with the reason."""
        have = before.prompts
        reused = reuse(self.run, self.plan, self.planned, have, wanted)
        if reused is not None:
            return before.model_copy(update={"images": before.images + reused.images})
        added = self._measure(
            self._make_measurement(self.plan.get_prompts(self.planned)[have:wanted])
        )
        if isinstance(added, Failed):
            return before.model_copy(update={"halted": added})
        if isinstance(added, Completed):
            raise TypeError("more images are not timed")
        return before.extended(added)

    def _make_measurement(
        self,
        image_prompts: tuple[Prompt, ...],
        keep: Keep | None = None,
        kept: tuple[Block, ...] = (),
    ) -> Measurement:
        """Return the measurement of the cell; without `keep`, it only generates images."""
        folder = RunFolder(self.run).cell(self.planned.id)
        task = make_task(self.plan, self.planned, folder, image_prompts, timed=keep is not None)
        notify = partial(self.progress.cell_advanced, self.planned)
        return Measurement(task, self.launcher, notify, keep or ignore, kept)

    def _measure(self, measurement: Measurement) -> Completed | Extended | Failed:
        outcome = measurement.measure(self.baseline_worker)
        refuse_full_disk(outcome, measurement.task.folder)
        return outcome


def refuse_full_disk(outcome: object, folder: Path) -> None:
    """Raise MachineError for a cell that failed because the disk was full: so would the next."""
    if isinstance(outcome, Failed) and outcome.kind == "disk-full":
        fix = "Free some space, then run the same command again: measured cells are kept."
        raise MachineError("the disk is full", str(folder), fix)


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
