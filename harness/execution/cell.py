"""Measure one cell: interleaved with the baseline, between two runs of it, or alone.

`rounds` times several cells together, by the steps `open`, `conclude` and `close`.
"""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing

from harness.core.matrix import Measure
from harness.core.outcome import Caution, Completed, Extended, Failed, Phase, measured_caution
from harness.core.timing import Block, Pairing
from harness.core.trace import Trace
from harness.core.units import Absent, format_bytes
from harness.execution import pairing as blocks
from harness.execution.baseline_worker import BaselineWorker
from harness.execution.build import read_recipe
from harness.execution.pairing import BlockSource, Recorder, refuse_foreign_processes
from harness.execution.stopping_rule import StoppingRule, count_calls
from harness.execution.task import (
    BaselineWorkerLost,
    Broken,
    Launcher,
    Notify,
    PhaseTimer,
    Task,
    Worker,
    is_crowded,
)  # fmt: skip
from harness.execution.trace import remove_scratch
from harness.execution.warnings import find_condition_warnings, find_timing_warnings
from harness.measure.memory import read_free_bytes

Keep = Callable[[Completed], None]
TRACING = Absent(absent="the run ended during the trace")


def ignore(outcome: Completed) -> None:
    """Discard an outcome."""


class Crowded(Exception):
    """A cell ran out of memory next to the baseline's process; it may complete alone."""


class Measurement:
    """Takes one cell from the start of its process to its outcome.

    `keep` receives the outcome before the trace is taken, which could lose it. `kept` are blocks of
    shared rounds that an interrupted run has taken.
    """

    def __init__(
        self,
        task: Task,
        launcher: Launcher,
        notify: Notify,
        keep: Keep,
        kept: tuple[Block, ...] = (),
    ) -> None:
        self.task, self._launcher, self.notify, self._keep = task, launcher, notify, keep
        self.stopping_rule = StoppingRule(task.measure, notify)
        self._worker: Worker | None = None
        self._begin(kept=kept)

    @property
    def shares_rounds(self) -> bool:
        """Whether the cell may be timed together with others: it is timed, and knows its batch."""
        values = read_recipe(self.task.planned.cell).values
        searches = any("tries-batches" in value.tags for value in values)
        return self.task.timed and self.task.planned.timed and not searches

    def open(self) -> BlockSource:
        """Start the cell's process, warm it up and return its source; may raise Broken."""
        self._begin(kept=tuple(self.recorder.blocks))
        self._refuse_foreign_processes()
        self._worker = self._launcher.open(self.task, self.notify)
        return self._prepare(self._worker)

    def rest(self) -> None:
        """Release memory that the process caches; may raise Broken."""
        if self._worker is not None:
            self._worker.rest()

    def spend(self, phase: Phase, seconds: float) -> None:
        """Count a share of what was spent on several cells as this cell's."""
        phases = self._timer.seconds
        phases[phase] = phases.get(phase, 0.0) + seconds

    def conclude(self, pairing: Pairing) -> Completed | Failed:
        """Return the outcome of a cell whose blocks are taken: images, memory, effects, trace."""
        assert self._worker is not None
        try:
            return self._trace(self._worker, self._finish(self._worker), pairing)
        except Broken as broken:
            return broken.failed
        finally:
            self.close()

    def close(self) -> None:
        """End the cell's process, if it lives."""
        if self._worker is not None:
            self._worker.close()
            remove_scratch(self.task.folder)
        self._worker = None

    @property
    def wall_s(self) -> float:
        """The seconds spent on the cell so far, by phase."""
        return sum(self._timer.seconds.values())

    def measure(self, baseline_worker: BaselineWorker | None) -> Completed | Extended | Failed:
        """Return the outcome; `baseline_worker` is None if the baseline did not complete."""
        self._begin()
        try:
            if not (self.task.timed and self.task.planned.timed):
                return self._generate_only()
            if self.task.planned.role == "baseline":
                return self._time_alone()
            if baseline_worker is None:
                return self._time_alone("the baseline did not complete")
            return self._time_paired(baseline_worker)
        except Broken as broken:
            return broken.failed
        finally:
            remove_scratch(self.task.folder)  # of a failed trace, after its process has ended

    def _generate_only(self) -> Completed | Extended:
        with closing(self._launcher.open(self.task, self.notify)) as worker:
            worker.prepare()
            return worker.finish()

    def _time_alone(self, why: str = "") -> Completed:
        """Time the cell without the baseline."""
        return self._run_worker(
            lambda cell: blocks.time_alone(self.recorder, cell, self.stopping_rule, why)
        )

    def _time_paired(self, baseline_worker: BaselineWorker) -> Completed:
        """Interleave with the baseline, or time the cell between two baseline runs."""
        why = check_memory(self.task, baseline_worker)
        if why:
            return self._time_between(baseline_worker, why)
        begin = time.perf_counter()
        try:
            with self._timer.measure_phase("baseline_worker"):
                baseline_worker.begin(self.notify)
            return self._time_interleaved(baseline_worker)
        except Crowded as crowded:
            why = str(crowded)
        except BaselineWorkerLost as lost:
            why = str(lost)
            if not lost.crowded:
                return self._time_alone(why)
        baseline_worker.close()
        self._begin(time.perf_counter() - begin)
        return self._time_between(baseline_worker, why)

    def _begin(self, lost_s: float = 0.0, kept: tuple[Block, ...] = ()) -> None:
        """Start the measurement again; a failed attempt counts as time of the baseline worker."""
        self._timer = PhaseTimer(self.notify)
        allow = self.task.measure.allow_foreign_processes
        self.recorder = Recorder(self.task.device, allow, kept)
        if lost_s:
            self._timer.seconds["baseline_worker"] = lost_s

    def _time_interleaved(self, baseline_worker: BaselineWorker) -> Completed:
        """Interleave with the baseline; BaselineWorkerLost or Crowded if memory is short."""

        def pair(cell: BlockSource) -> Pairing:
            try:
                pairing = blocks.interleave(
                    self.recorder, baseline_worker.source(), cell, self.stopping_rule
                )
            except BaselineWorkerLost as lost:
                if lost.crowded:
                    raise
                return blocks.time_alone(self.recorder, cell, self.stopping_rule, str(lost))
            baseline_worker.rest()
            return pairing

        try:
            return self._run_worker(pair)
        except Broken as broken:
            if baseline_worker.alive and is_crowded(broken.failed):
                raise Crowded(f"next to the baseline: {broken.failed.message}") from broken
            raise

    def _time_between(self, baseline_worker: BaselineWorker, why: str) -> Completed:
        """Time the baseline, the cell and the baseline again, one process at a time."""
        try:
            with self._timer.measure_phase("baseline_worker"):
                baseline_worker.begin(self.notify)
                source = baseline_worker.source()
                blocks.time_baseline_before(self.recorder, source, self.stopping_rule)
        except BaselineWorkerLost as lost:
            return self._time_alone(str(lost))
        finally:
            baseline_worker.close()
        self._refuse_foreign_processes()
        bare_task = self.task.model_copy(update={"imaged": ()})
        with closing(self._launcher.open(bare_task, self.notify)) as worker:
            cell = self._prepare(worker)
            with self._timer.measure_phase("repeats"):
                blocks.time_cell_between(self.recorder, cell, self.stopping_rule)
            bare = self._finish(worker)
        return self._finish_images(
            bare, self._time_baseline_again(baseline_worker, why), baseline_worker
        )

    def _time_baseline_again(self, baseline_worker: BaselineWorker, why: str) -> Pairing:
        try:
            with self._timer.measure_phase("baseline_worker"):
                baseline_worker.begin(self.notify)
                return blocks.time_baseline_after(
                    self.recorder, baseline_worker.source(), self.stopping_rule, why
                )
        except BaselineWorkerLost as lost:
            return blocks.keep_one_sided(self.recorder, why, str(lost))

    def _finish_images(
        self, bare: Completed, pairing: Pairing, baseline_worker: BaselineWorker
    ) -> Completed:
        """Generate images and trace of a timed cell in another process."""
        if not (self.task.image_prompts or self.task.measure.trace):
            baseline_worker.rest()
            return self._build_outcome(bare, pairing, bare.trace)
        baseline_worker.close()
        untimed = self.task.model_copy(update={"timed": False})
        with closing(self._launcher.open(untimed, self.notify)) as worker:
            worker.prepare()
            more = worker.finish()
            assert isinstance(more, Extended)
            return self._trace(worker, bare.extended(more), pairing, warm=False)

    def _run_worker(self, pair: Callable[[BlockSource], Pairing]) -> Completed:
        """Do everything in one process; `pair` takes its blocks."""
        self._refuse_foreign_processes()
        with closing(self._launcher.open(self.task, self.notify)) as worker:
            cell = self._prepare(worker)
            with self._timer.measure_phase("repeats"):
                pairing = pair(cell)
            return self._trace(worker, self._finish(worker), pairing)

    def _prepare(self, worker: Worker) -> BlockSource:
        warmup_s = worker.prepare()
        # A container sees other processes only once it uses the GPU itself.
        self._refuse_foreign_processes()
        return BlockSource(
            "cell", worker, count_calls(warmup_s[-1] if warmup_s else 0.0, self.task.measure)
        )

    def _finish(self, worker: Worker) -> Completed:
        bare = worker.finish()
        assert isinstance(bare, Completed)
        return bare

    def _trace(
        self, worker: Worker, bare: Completed, pairing: Pairing, warm: bool = True
    ) -> Completed:
        """Return the outcome, with a trace if the matrix asks for one.

        A worker is `warm` after a call at the timed batch size.
        """
        if not self.task.measure.trace:
            return self._build_outcome(bare, pairing, bare.trace)
        self._keep(self._build_outcome(bare, pairing, TRACING))
        trace: Trace | Absent
        with self._timer.measure_phase("trace"):
            try:
                if not warm:
                    worker.block(1)
                trace = worker.trace()
            except Broken as broken:
                failed = broken.failed
                trace = Absent(absent=f"{failed.kind} during the trace: {failed.message}")
        return self._build_outcome(bare, pairing, trace)

    def _refuse_foreign_processes(self) -> None:
        if not self.task.measure.allow_foreign_processes:
            refuse_foreign_processes(self.task.device)

    def _build_outcome(self, bare: Completed, pairing: Pairing, trace: Trace | Absent) -> Completed:
        measure, phases_s = self.task.measure, Counter(bare.phases_s)
        phases_s.update(self._timer.seconds)
        found = (
            *find_timing_warnings(pairing, bare.warmup_s, measure),
            *find_condition_warnings(pairing.blocks),
            *_untraced(trace, measure),
        )
        more = {"pairing": pairing, "trace": trace, "phases_s": dict(phases_s)}
        return bare.model_copy(update={**more, "warnings": bare.warnings + found})


def _untraced(trace: Trace | Absent, measure: Measure) -> tuple[Caution, ...]:
    if not measure.trace or isinstance(trace, Trace):
        return ()
    advice = "Run harness profile RUN CELL to trace it without measuring it again."
    return (measured_caution("not-traced", message=f"no trace: {trace.absent}", advice=advice),)


def check_memory(task: Task, baseline: BaselineWorker) -> str:
    """Return why a cell and the baseline cannot share the device's memory, or ''.

    A footprint is a lower bound: what the baseline was seen to need more (the device's context, a
    VAE that is cast to fp32) a cell needs too. If the baseline's process is alive, its weights are
    in use already; its calls need more.
    """
    if any("tries-batches" in value.tags for value in read_recipe(task.planned.cell).values):
        return "it searches for the largest batch that fits into memory"
    needs, other = task.planned.needs, baseline.task.planned.needs
    free = read_free_bytes(task.device)
    if needs is None or other is None or free is None:
        return ""
    calls = other.activations_bytes if baseline.alive else other.needed
    needed = needs.needed + calls + 2 * baseline.surplus_bytes
    if needed <= free:
        return ""
    both = f"it and the baseline need about {format_bytes(needed)} together"
    return f"{both}, {format_bytes(free)} is free"
