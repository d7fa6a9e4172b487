"""Measure one cell: interleaved with the baseline, between two runs of it, or alone."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from harness.core.matrix import Measure
from harness.core.outcome import Caution, Completed, Extended, Failed, measured_caution
from harness.core.timing import Pairing
from harness.core.trace import Trace
from harness.core.units import Absent, format_bytes
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.build import read_recipe
from harness.execution.pairing import (
    BlockSource,
    Recorder,
    after,
    amid,
    before,
    by_itself,
    interleave,
    one_sided,
    refuse_foreign_processes,
)
from harness.execution.stopping_rule import StoppingRule, count_calls
from harness.execution.task import BaselineWorkerLost, Broken, Launcher, Notify, PhaseTimer, Task, Worker, is_crowded
from harness.execution.trace import remove_scratch
from harness.execution.warnings import condition_cautions, timing_cautions
from harness.measure.memory import free_bytes

Keep = Callable[[Completed], None]
Pair = Callable[[BlockSource], Pairing]
TRACING = Absent(absent="the run was ended while it was traced")


def ignore(outcome: Completed) -> None:
    """Keep nothing."""


class Crowded(Exception):
    """A cell that ran out of memory while the baseline waited beside it: it may do by itself."""


class Measurement:
    """One cell from its process's start to its outcome; all methods but `measured` raise Broken where the cell breaks.

    `keep` is given the outcome before anything is done that it could be lost by: before the trace.
    """

    def __init__(self, task: Task, launcher: Launcher, notify: Notify, keep: Keep) -> None:
        self.task, self._launcher, self._notify, self._keep = task, launcher, notify, keep
        self._stopping_rule = StoppingRule(task.measure, notify)
        self._begin()

    def measured(self, baseline_worker: BaselineWorker | None) -> Completed | Extended | Failed:
        """Measure the cell beside `baseline_worker`, or alone where that is None, and return its outcome."""
        try:
            if not (self.task.timed and self.task.planned.timed):
                return self.untimed()
            if self.task.planned.role == "baseline":
                return self.alone()
            return self.paired(baseline_worker) if baseline_worker else self.alone("the baseline did not complete")
        except Broken as broken:
            return broken.failed
        finally:
            remove_scratch(self.task.folder)  # of a trace that broke, now that nobody writes any more

    def untimed(self) -> Completed | Extended:
        """Only make its images."""
        with closing(self._launcher.open(self.task, self._notify)) as worker:
            worker.prepare()
            return worker.finish()

    def alone(self, why: str = "") -> Completed:
        """Time it by itself: the baseline, or for a reason another cell."""
        return self._make(lambda cell: by_itself(self._recorder, cell, self._stopping_rule, why))

    def paired(self, baseline_worker: BaselineWorker) -> Completed:
        """Time it by turns with the baseline; where both do not fit, by itself between two times of the baseline."""
        why = find_memory_shortage(self.task, baseline_worker.task, baseline_worker.alive)
        if why:
            return self._between(baseline_worker, why)
        begin = time.perf_counter()
        try:
            with self._timer.measure_phase("baseline_worker"):
                baseline_worker.begin(self._notify)
            return self._interleaved(baseline_worker)
        except Crowded as crowded:
            why = str(crowded)
        except BaselineWorkerLost as lost:
            why = str(lost)
            if not lost.crowded:
                return self.alone(why)
        baseline_worker.close()
        self._begin(time.perf_counter() - begin)
        return self._between(baseline_worker, why)

    def _begin(self, lost_s: float = 0.0) -> None:
        """Forget what was timed so far; the wall time it took is the price of trying with the baseline beside it."""
        self._timer = PhaseTimer(self._notify)
        self._recorder = Recorder(self.task.device, self.task.measure.allow_foreign_processes)
        if lost_s:
            self._timer.seconds["baseline_worker"] = lost_s

    def _interleaved(self, baseline_worker: BaselineWorker) -> Completed:
        """Raise PartnerLost or Crowded where the two cannot be there at once."""

        def pair(cell: BlockSource) -> Pairing:
            try:
                pairing = interleave(self._recorder, baseline_worker.source(), cell, self._stopping_rule)
            except BaselineWorkerLost as lost:
                if lost.crowded:
                    raise
                return by_itself(self._recorder, cell, self._stopping_rule, str(lost))
            baseline_worker.rest()
            return pairing

        try:
            return self._make(pair)
        except Broken as broken:
            if baseline_worker.alive and is_crowded(broken.failed):
                raise Crowded(f"beside the baseline: {broken.failed.message}") from broken
            raise

    def _between(self, baseline_worker: BaselineWorker, why: str) -> Completed:
        """Time the baseline, the cell, and the baseline again, one process at a time; all else comes after that."""
        try:
            with self._timer.measure_phase("baseline_worker"):
                baseline_worker.begin(self._notify)
                before(self._recorder, baseline_worker.source(), self._stopping_rule)
        except BaselineWorkerLost as lost:
            return self.alone(str(lost))
        finally:
            baseline_worker.close()
        self._refuse_foreign_processes()
        with closing(self._launcher.open(self.task.model_copy(update={"pictured": ()}), self._notify)) as worker:
            cell = self._prepared(worker)
            with self._timer.measure_phase("repeats"):
                amid(self._recorder, cell, self._stopping_rule)
            bare = self._finished(worker)
        pairing = self._after(baseline_worker, why)
        return self._pictured(bare, pairing, baseline_worker)

    def _after(self, baseline_worker: BaselineWorker, why: str) -> Pairing:
        try:
            with self._timer.measure_phase("baseline_worker"):
                baseline_worker.begin(self._notify)
                return after(self._recorder, baseline_worker.source(), self._stopping_rule, why)
        except BaselineWorkerLost as lost:
            return one_sided(self._recorder, why, str(lost))

    def _pictured(self, bare: Completed, pairing: Pairing, baseline_worker: BaselineWorker) -> Completed:
        """Let another worker make the images and the trace of a cell that is timed already."""
        if not (self.task.pictured or self.task.measure.trace):
            baseline_worker.rest()
            return self._outcome(bare, pairing, bare.trace)
        baseline_worker.close()
        with closing(self._launcher.open(self.task.model_copy(update={"timed": False}), self._notify)) as worker:
            worker.prepare()
            more = worker.finish()
            assert isinstance(more, Extended)
            return self._traced(worker, bare.extended(more), pairing, awake=False)

    def _make(self, pair: Pair) -> Completed:
        """Let a worker do all there is to do, its blocks as `pair` asks for them."""
        self._refuse_foreign_processes()
        with closing(self._launcher.open(self.task, self._notify)) as worker:
            cell = self._prepared(worker)
            with self._timer.measure_phase("repeats"):
                pairing = pair(cell)
            return self._traced(worker, self._finished(worker), pairing)

    def _prepared(self, worker: Worker) -> BlockSource:
        """Return the cell's side of a pairing."""
        warmup_s = worker.prepare()
        self._refuse_foreign_processes()  # in a container, which is told of others only where it is on the GPU itself
        return BlockSource("cell", worker, count_calls(warmup_s[-1] if warmup_s else 0.0, self.task.measure))

    def _finished(self, worker: Worker) -> Completed:
        bare = worker.finish()
        assert isinstance(bare, Completed)
        return bare

    def _traced(self, worker: Worker, bare: Completed, pairing: Pairing, awake: bool = True) -> Completed:
        """Return the outcome with a trace, if one is asked for; before it is taken, keep what there is."""
        if not self.task.measure.trace:
            return self._outcome(bare, pairing, bare.trace)
        self._keep(self._outcome(bare, pairing, TRACING))
        with self._timer.measure_phase("trace"):
            trace = self._trace(worker, awake)
        return self._outcome(bare, pairing, trace)

    def _trace(self, worker: Worker, awake: bool) -> Trace | Absent:
        """Return the trace of a worker, which is `awake` once it has made calls at the batch that is timed."""
        try:
            if not awake:
                worker.block(1)
            return worker.trace()
        except Broken as broken:
            return Absent(absent=f"{broken.failed.kind} while it was traced: {broken.failed.message}")

    def _refuse_foreign_processes(self) -> None:
        if not self.task.measure.allow_foreign_processes:
            refuse_foreign_processes(self.task.device)

    def _outcome(self, bare: Completed, pairing: Pairing, trace: Trace | Absent) -> Completed:
        """Join what the worker told and what was timed."""
        measure, phases = self.task.measure, Counter(bare.phases_s)
        phases.update(self._timer.seconds)
        found = (
            *timing_cautions(pairing, bare.warmup_s, measure),
            *condition_cautions(pairing.blocks),
            *_untraced(trace, measure),
        )
        more = {"pairing": pairing, "trace": trace, "phases_s": dict(phases)}
        return bare.model_copy(update={**more, "warnings": bare.warnings + found})


def _untraced(trace: Trace | Absent, measure: Measure) -> tuple[Caution, ...]:
    """Return a warning where a trace was asked for and there is none."""
    if not measure.trace or isinstance(trace, Trace):
        return ()
    advice = "harness profile RUN CELL traces it without measuring it again."
    return (measured_caution("not-traced", message=f"no trace: {trace.absent}", advice=advice),)


def find_memory_shortage(task: Task, baseline: Task, waiting: bool) -> str:
    """Return why a cell must have the device to itself, or ''.

    `waiting`: the baseline's weights are there already; what its calls need besides comes back with each of its turns.
    """
    if any("tries-batches" in value.tags for value in read_recipe(task.planned.cell).values):
        return "it looks for the most images that fit into memory"
    needs, paired = task.planned.needs, baseline.planned.needs
    free = free_bytes(task.device)
    if needs is None or paired is None or free is None:
        return ""
    needed = needs.needed + (paired.activations_bytes if waiting else paired.needed)
    if needed <= free:
        return ""
    return f"it and the baseline need about {format_bytes(needed)} at once, {format_bytes(free)} is free"
