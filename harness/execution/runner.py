"""Run a plan cell by cell, or trace its cells again."""

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
from harness.execution.task import Broken, Launcher, Notify, Task, WorkerProgress, make_task
from harness.execution.trace import remove_scratch
from harness.store import begin_cell, completed_twins, read_outcomes, write_outcome
from harness.store.layout import RunFolder
from harness.store.read import read_outcome


class Progress(Protocol):
    """Hears what happens during a run."""

    def cell_began(self, planned: PlannedCell) -> None:
        """A cell is being measured."""

    def cell_advanced(self, planned: PlannedCell, step: WorkerProgress) -> None:
        """A cell entered a phase, or got further in it."""

    def cell_ended(self, planned: PlannedCell, outcome: Outcome, wall_s: float) -> None:
        """A cell has its outcome."""


class SilentProgress:
    """Hears everything and says nothing."""

    def cell_began(self, planned: PlannedCell) -> None:
        pass

    def cell_advanced(self, planned: PlannedCell, step: WorkerProgress) -> None:
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
    stage = _Stage(
        run, plan, launcher, BaselineWorker(launcher, make_task(plan, baseline, _folder(run, baseline))), progress
    )
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
        stage.baseline_worker.close()
    return outcomes


class _Stage(NamedTuple):
    """What all cells of a run are measured with."""

    run: Path
    plan: Plan
    launcher: Launcher
    baseline_worker: BaselineWorker
    progress: Progress


class _Work:
    """One cell at work: its first round, or a later one."""

    def __init__(self, stage: _Stage, planned: PlannedCell, comparable: bool) -> None:
        self.run, self.plan, self.launcher, baseline_worker, self.progress = stage
        self.planned = planned
        self.baseline_worker = baseline_worker if comparable else None

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
        pictured = self.plan.get_prompts(self.planned)[:wanted] if reused is None else ()
        made = self._measure(pictured, lambda found: self._keep(add_images(reused, found)))
        if isinstance(made, Extended):
            raise TypeError("a first round is timed")
        return add_images(reused, made)

    def extend(self, before: Completed, wanted: int) -> Outcome:
        """Return a completed cell's outcome with more images; one that breaks keeps what it has and says why."""
        have = before.prompts
        reused = reuse(self.run, self.plan, self.planned, have, wanted)
        if reused is not None:
            return before.model_copy(update={"images": before.images + reused.images})
        added = self._measure(self.plan.get_prompts(self.planned)[have:wanted])
        if isinstance(added, Failed):
            return before.model_copy(update={"halted": added})
        if isinstance(added, Completed):
            raise TypeError("a later round is not timed")
        return before.extended(added)

    def _measure(self, pictured: tuple[Prompt, ...], keep: Keep | None = None) -> Completed | Extended | Failed:
        """Measure it in a first round, where there is something to `keep`; else only make its images."""
        folder = _folder(self.run, self.planned)
        task = make_task(self.plan, self.planned, folder, pictured, timed=keep is not None)
        notify = partial(self.progress.cell_advanced, self.planned)
        outcome = Measurement(task, self.launcher, notify, keep or ignore).measured(self.baseline_worker)
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


def reuse(run: Path, plan: Plan, planned: PlannedCell, have: int, wanted: int) -> Completed | None:
    """Link the images of prompts `have` to `wanted` from an earlier run with exactly the same content.

    Returns an outcome with these images and nothing of what was measured there, or None where no run has all of them
    undamaged: a run with a damaged one is passed over, so that it is made again here.
    Only the baseline's rerun and other-seed run are taken over; what is timed is timed in its own run.
    """
    if planned.role not in ("rerun", "other-seed"):
        return None
    prompts, seeds = plan.get_prompts(planned)[have:wanted], plan.get_seeds(planned)
    keys = [(prompt.id, seed) for prompt in prompts for seed in seeds]
    for source, cell_id, outcome in completed_twins(run.parent, planned.content_key):
        by_key = {image.key: image for image in outcome.images}
        if not set(keys) <= by_key.keys():
            continue
        images = tuple(by_key[key] for key in keys)
        folders = RunFolder(source).cell(cell_id), RunFolder(run).cell(planned.id)
        if all(_link(folders[0] / image.path, folders[1] / image.path, image.sha256) for image in images):
            return _bare(outcome, source.name).model_copy(update={"images": images})
        for image in images:  # what is made here must not be written through a link into that run
            (folders[1] / image.path).unlink(missing_ok=True)
    return None


def _bare(outcome: Completed, source: str) -> Completed:
    """Return what is true of a cell in whatever run: not what it cost or did in that one, nor files left there."""
    elsewhere = Absent(absent=f"its images were taken over from {source}")
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
    """Return what was measured with the images that were taken over; they are there also where measuring failed."""
    if reused is None:
        return made
    if isinstance(made, Failed):
        why = f"{made.kind} in {made.phase}: {made.message}"
        return reused.model_copy(update={"pairing": UNTIMED.model_copy(update={"stopped": f"not timed: {why}"})})
    return made.model_copy(update={"images": reused.images, "reused_from": reused.reused_from})


def _link(origin: Path, target: Path, sha256: str) -> bool:
    """Make `target` the same file, or a copy where the file system has no links; whether it is the recorded picture."""
    try:
        target.unlink(missing_ok=True)  # left by an interrupted round
        os.link(origin, target)
    except OSError:
        try:
            shutil.copyfile(origin, target)
        except OSError:
            return False
    return hashlib.sha256(target.read_bytes()).hexdigest() == sha256


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


def _trace(task: Task, launcher: Launcher, notify: Notify) -> Trace | Absent:
    """Return the trace of a worker that does nothing but this."""
    worker = None
    try:
        worker = launcher.open(task, notify)
        worker.prepare()
        return worker.trace()
    except Broken as broken:
        failed = broken.failed
        raise MachineError(f"it broke in {failed.phase}: {failed.message}", task.planned.id, failed.hint) from broken
    finally:
        if worker is not None:
            worker.close()
        remove_scratch(task.folder)
