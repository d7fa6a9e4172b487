"""Measure a cell: in blocks by turns with the baseline, its process alive beside it, or as near to that as can be."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import NamedTuple

from harness.core.matrix import Measure
from harness.core.outcome import Caution, Completed, Extended, Failed
from harness.core.timing import Pairing
from harness.core.trace import Trace
from harness.core.units import Absent
from harness.execution.beside import lack_of_room
from harness.execution.cautions import timing_cautions
from harness.execution.conditions import condition_cautions
from harness.execution.goal import Goal, calls_of
from harness.execution.launchers import Broken, Launcher, Worker
from harness.execution.ledger import Ledger, Tell
from harness.execution.pairing import bracket, by_itself, interleave, sandwiched
from harness.execution.partner import Partner, PartnerLost, is_crowded
from harness.execution.recording import Recorder, Turn, refuse_visitors
from harness.execution.task import Task

Keep = Callable[[Completed], None]
Pair = Callable[[Turn], Pairing]
TRACING = Absent(absent="the run was ended while it was traced")


def ignore(outcome: Completed) -> None:
    """Keep nothing."""


class Crowded(Exception):
    """A cell that ran out of memory while the baseline waited beside it: it may do by itself."""


class Made(NamedTuple):
    """What came of a worker that did all it was asked for; `bare` lacks the rest."""

    bare: Completed
    pairing: Pairing
    trace: Trace | Absent


class Measurement:
    """One cell from its process's start to its outcome; all methods but `measured` raise Broken where the cell breaks.

    `keep` is given the outcome before anything is done that it could be lost by: before the trace.
    """

    def __init__(self, task: Task, launcher: Launcher, tell: Tell, keep: Keep) -> None:
        self.task, self._launcher, self._tell, self._keep = task, launcher, tell, keep
        self._goal = Goal(task.measure, tell)
        self._begin()

    def measured(self, partner: Partner | None) -> Completed | Extended | Failed:
        """Return what became of it, timed in the way that suits it; `partner` is None where there is no baseline."""
        try:
            if not (self.task.timed and self.task.planned.timed):
                return self.untimed()
            if self.task.planned.role == "baseline":
                return self.alone()
            return self.beside(partner) if partner else self.alone("the baseline did not complete")
        except Broken as broken:
            return broken.failed

    def untimed(self) -> Completed | Extended:
        """Only make its images."""
        with closing(self._launcher.open(self.task, self._tell)) as worker:
            worker.prepare()
            return worker.finish()

    def alone(self, why: str = "") -> Completed:
        """Time it by itself: the baseline, or for a reason another cell."""
        return self._outcome(self._make(lambda cell: by_itself(self._recorder, cell, self._goal, why)))

    def beside(self, partner: Partner) -> Completed:
        """Time it by turns with the baseline; where both do not fit, by itself between two times of the baseline."""
        why = lack_of_room(self.task, partner.task, partner.alive)
        if why:
            return self._between(partner, why)
        begin = time.perf_counter()
        try:
            with self._ledger.phase_of("partner"):
                partner.begin(self._tell)
            return self._outcome(self._by_turns(partner))
        except Crowded as crowded:
            why = str(crowded)
        except PartnerLost as lost:
            why = str(lost)
            if not lost.crowded:
                return self.alone(why)
        partner.close()
        self._begin(time.perf_counter() - begin)
        return self._between(partner, why)

    def _begin(self, lost_s: float = 0.0) -> None:
        """Forget what was timed so far; the wall time it took is the price of trying with the baseline beside it."""
        self._ledger = Ledger(self._tell)
        self._recorder = Recorder(self.task.device, self.task.measure.allow_visitors)
        if lost_s:
            self._ledger.seconds["partner"] = lost_s

    def _by_turns(self, partner: Partner) -> Made:
        """Raise PartnerLost or Crowded where the two cannot be there at once."""

        def pair(cell: Turn) -> Pairing:
            try:
                pairing = interleave(self._recorder, partner.turn(), cell, self._goal)
            except PartnerLost as lost:
                if lost.crowded:
                    raise
                return by_itself(self._recorder, cell, self._goal, str(lost))
            partner.rest()
            return pairing

        try:
            return self._make(pair)
        except Broken as broken:
            if partner.alive and is_crowded(broken.failed):
                raise Crowded(f"beside the baseline: {broken.failed.message}") from broken
            raise

    def _between(self, partner: Partner, why: str) -> Completed:
        """Time the baseline, the cell, and the baseline again, one process at a time."""
        try:
            self._bracket(partner)
        except PartnerLost as lost:
            return self.alone(str(lost))
        finally:
            partner.close()
        made = self._make(lambda cell: by_itself(self._recorder, cell, self._goal, why), whole=False)
        try:
            self._bracket(partner)
        except PartnerLost as lost:
            return self._outcome(made._replace(pairing=made.pairing.model_copy(update={"why": str(lost)})))
        partner.rest()
        return self._outcome(made._replace(pairing=sandwiched(self._recorder, self._goal, why)))

    def _bracket(self, partner: Partner) -> None:
        with self._ledger.phase_of("partner"):
            partner.begin(self._tell)
            bracket(self._recorder, partner.turn(), self.task.measure)

    def _make(self, pair: Pair, whole: bool = True) -> Made:
        """Let a worker do all there is to do, its blocks as `pair` asks for them; `whole`: no more blocks follow."""
        self._refuse_visitors()
        with closing(self._launcher.open(self.task, self._tell)) as worker:
            warmup_s = worker.prepare()
            self._refuse_visitors()  # in a container, which is told of others only where it is on the GPU itself
            with self._ledger.phase_of("repeats"):
                pairing = pair(Turn("cell", worker, calls_of(warmup_s[-1] if warmup_s else 0.0, self.task.measure)))
            bare = worker.finish()
            assert isinstance(bare, Completed)
            if not self.task.measure.trace:
                return Made(bare, pairing, bare.trace)
            if whole:
                self._keep(self._outcome(Made(bare, pairing, TRACING)))
            return Made(bare, pairing, self._trace(worker))

    def _trace(self, worker: Worker) -> Trace | Absent:
        with self._ledger.phase_of("trace"):
            try:
                return worker.trace()
            except Broken as broken:
                return Absent(absent=f"{broken.failed.kind} while it was traced: {broken.failed.message}")

    def _refuse_visitors(self) -> None:
        if not self.task.measure.allow_visitors:
            refuse_visitors(self.task.device)

    def _outcome(self, made: Made) -> Completed:
        """Join what the worker told and what was timed."""
        bare, measure = made.bare, self.task.measure
        phases = Counter(bare.phases_s)
        phases.update(self._ledger.seconds)
        found = (
            *timing_cautions(made.pairing, bare.warmup_s, measure),
            *condition_cautions(made.pairing.blocks),
            *_untraced(made.trace, measure),
        )
        more = {"pairing": made.pairing, "trace": made.trace, "phases_s": dict(phases)}
        return bare.model_copy(update={**more, "warnings": bare.warnings + found})


def _untraced(trace: Trace | Absent, measure: Measure) -> tuple[Caution, ...]:
    """Return a warning where a trace was asked for and there is none."""
    if not measure.trace or isinstance(trace, Trace):
        return ()
    advice = "harness profile RUN CELL traces it without measuring it again."
    return (Caution(kind="not-traced", message=f"no trace: {trace.absent}", advice=advice),)
