"""Time blocks of calls, of a cell and the baseline, until the stopping rule holds."""

import os
import time
from collections.abc import Callable, Sequence
from itertools import count
from typing import Literal, NamedTuple, NoReturn, Protocol

import psutil

from harness.core.errors import MachineError
from harness.core.timing import (
    Block,
    Conditions,
    ForeignProcess,
    Pairing,
    Repeat,
    Side,
    TimingSession,
)
from harness.core.units import Absent, format_bytes
from harness.execution.stopping_rule import StoppingRule
from harness.execution.task import BaselineWorkerLost, Broken
from harness.measure.conditions import watch_conditions
from harness.measure.nvml import find_foreign_processes
from harness.stats.speedup import precise

BEFORE, AMID = (0.25, 0.5), (0.75, 0.8)
"""Shares of time and width at which to stop the baseline's first blocks, and the cell's.

Later blocks add to the width, and more blocks at the end compensate little.
"""


class Timeable(Protocol):
    """A source of timed calls: a worker, or the baseline's worker."""

    @property
    def pid(self) -> int:
        """The pid of its process."""

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many consecutive timed calls; may raise Broken."""


def give_up(broken: Broken) -> NoReturn:
    """Raise the failure: a failed cell is not restarted."""
    raise broken


class BlockSource(NamedTuple):
    """One side of a pairing: its worker, the calls of a block, and how to recover from a failure.

    `revive` raises if it cannot recover; otherwise the block is taken again.
    """

    side: Side
    worker: Timeable
    calls: int
    revive: Callable[[Broken], None] = give_up


class Recorder:
    """Collects the blocks of one pairing; `spent_s` is the sum of their latencies.

    It may begin with the whole rounds of an interrupted run.
    """

    def __init__(
        self, device: str, allow_foreign_processes: bool, kept: tuple[Block, ...] = ()
    ) -> None:
        self.blocks: list[Block] = list(kept)
        self.spent_s = sum(repeat.latency_s for block in kept for repeat in block.repeats)
        self._device, self._allow_foreign_processes = device, allow_foreign_processes
        self._begin: float | None = None
        self._moment = 0.0
        """When the last block began, by the clock."""
        last = kept[-1] if kept else None
        self._before_s = last.begun_s + sum(r.latency_s for r in last.repeats) if last else 0.0

    @property
    def next_round(self) -> int:
        """The index of the next round."""
        return 1 + max((block.round_index for block in self.blocks), default=-1)

    def take(self, source: BlockSource, round_index: int) -> None:
        """Take one block; if the machine's state spoiled it, mark it as superseded and repeat."""
        self.take_shared(source, round_index, ())

    def take_shared(
        self, source: BlockSource, round_index: int, others: "Sequence[Recorder]"
    ) -> None:
        """Take one block for this recorder and for others that share the round."""
        block = self._take(source, round_index)
        spoilt = _spoilt(block.conditions, self._allow_foreign_processes)
        if spoilt:
            self._add(block.model_copy(update={"superseded": spoilt}), others)
            block = self._take(source, round_index)
        self._add(block, others)

    def discard(self, why: str, side: Side | None = None, round_index: int | None = None) -> None:
        """Mark the blocks of a side or a round as superseded; reports still show them."""
        for place, block in enumerate(self.blocks):
            if (
                side in (None, block.side)
                and round_index in (None, block.round_index)
                and not block.superseded
            ):
                self.blocks[place] = block.model_copy(update={"superseded": why})

    def pair(
        self,
        kind: Literal["interleaved", "sandwiched", "alone"],
        stopped: str = "",
        why: str = "",
        session: TimingSession | None = None,
    ) -> Pairing:
        """Return the blocks so far as a pairing."""
        blocks = tuple(self.blocks)
        return Pairing(kind=kind, blocks=blocks, stopped=stopped, why=why, session=session)

    def _add(self, block: Block, others: "Sequence[Recorder]") -> None:
        for recorder in (self, *others):
            recorder.spent_s += sum(repeat.latency_s for repeat in block.repeats)
            begun_s = recorder._since(self._moment)
            recorder.blocks.append(block.model_copy(update={"begun_s": begun_s}))

    def _since(self, moment: float) -> float:
        """Return the seconds from this pairing's first block to a moment of the clock."""
        self._begin = moment if self._begin is None else self._begin
        return self._before_s + moment - self._begin

    def _take(self, source: BlockSource, round_index: int) -> Block:
        while True:
            try:
                return self._once(source, round_index)
            except Broken as broken:
                source.revive(broken)

    def _once(self, source: BlockSource, round_index: int) -> Block:
        with watch_conditions(self._device, list_own_pids(source.worker.pid)) as watch:
            self._moment = time.perf_counter()
            repeats = source.worker.block(source.calls)
        return Block(
            side=source.side,
            round_index=round_index,
            begun_s=self._since(self._moment),
            repeats=repeats,
            conditions=watch.conditions,
        )


def interleave(
    recorder: Recorder, baseline: BlockSource, cell: BlockSource, stopping_rule: StoppingRule
) -> Pairing:
    """Take rounds of baseline, cell, cell, baseline, so that a steady drift cancels.

    Raises BaselineWorkerLost if the baseline fails before the rounds give an interval; later, only
    its last, unfinished round is superseded.
    """
    for round_index in count():
        try:
            for source in (baseline, cell, cell, baseline):
                recorder.take(source, round_index)
        except BaselineWorkerLost as lost:
            whole = tuple(block for block in recorder.blocks if block.round_index < round_index)
            if precise(Pairing(kind="interleaved", blocks=whole)) is None:
                raise
            recorder.discard(f"its round is incomplete: {lost}", round_index=round_index)
            return recorder.pair("interleaved", stopped=str(lost))
        stopped = stopping_rule.check(
            recorder.pair("interleaved"), round_index + 1, recorder.spent_s
        )
        if stopped:
            return recorder.pair("interleaved", stopped=stopped)
    raise AssertionError("count() is infinite")


def time_alone(
    recorder: Recorder, cell: BlockSource, stopping_rule: StoppingRule, why: str = ""
) -> Pairing:
    """Take blocks of the cell alone, each a round, until its latency is precise.

    Earlier blocks of the baseline are superseded.
    """
    begin_s = recorder.spent_s
    recorder.discard(f"the cell was timed alone: {why}", side="baseline")
    for taken in count(1):
        recorder.take(cell, recorder.next_round)
        stopped = stopping_rule.check(recorder.pair("alone"), taken, recorder.spent_s - begin_s)
        if stopped:
            return recorder.pair("alone", stopped, why)
    raise AssertionError("count() is infinite")


def time_baseline_before(
    recorder: Recorder, baseline: BlockSource, stopping_rule: StoppingRule
) -> None:
    """Take the first blocks of the baseline, all in one round."""
    for taken in count(1):
        recorder.take(baseline, 0)
        own = tuple(block.model_copy(update={"side": "cell"}) for block in recorder.blocks)
        if stopping_rule.scale(*BEFORE).check(
            Pairing(kind="alone", blocks=own), taken, recorder.spent_s
        ):
            return


def time_cell_between(recorder: Recorder, cell: BlockSource, stopping_rule: StoppingRule) -> None:
    """Take blocks of the cell, each a round, and at least twice as many as of the baseline before.

    They are enough if the speedup would be precise with the baseline's first blocks repeated at the
    end.
    """
    for taken in count(1):
        recorder.take(cell, recorder.next_round)
        if stopping_rule.scale(*AMID).check(_mirrored(recorder), taken // 2, recorder.spent_s):
            return


def time_baseline_after(
    recorder: Recorder, baseline: BlockSource, stopping_rule: StoppingRule, why: str
) -> Pairing:
    """Take the last blocks of the baseline, all in one round, and return all blocks.

    A baseline that fails ends the measurement with the blocks so far.
    """
    round_index = recorder.next_round
    for taken in count(1):
        try:
            recorder.take(baseline, round_index)
        except BaselineWorkerLost as lost:
            return recorder.pair("sandwiched", str(lost), why)
        stopped = stopping_rule.check(recorder.pair("sandwiched"), taken, recorder.spent_s)
        if stopped:
            return recorder.pair("sandwiched", stopped, why)
    raise AssertionError("count() is infinite")


def keep_one_sided(recorder: Recorder, why: str, lost: str) -> Pairing:
    """Return the blocks of a cell whose baseline failed before its last blocks."""
    return recorder.pair("sandwiched", lost, why)


def list_own_pids(*first: int) -> tuple[int, ...]:
    """Return the pids of `first`, this process and all its descendants."""
    family = (os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True)))
    return (*first, *(pid for pid in family if pid not in first))


def refuse_foreign_processes(device: str) -> None:
    """Raise MachineError if foreign processes use the GPU: they would distort all timing."""
    found = find_foreign_processes(device, list_own_pids())
    computing = () if isinstance(found, Absent) else _computing(found)
    if not computing:
        return
    fix = (
        "End them, choose another card with CUDA_VISIBLE_DEVICES,"
        " or set measure.allow_foreign_processes = true."
    )
    raise MachineError(f"other processes use the GPU: {_named(computing)}", device, fix)


def _spoilt(conditions: Conditions, allow_foreign_processes: bool) -> str:
    """Return why a block's timing is not valid, or ''."""
    if conditions.slowed:
        return f"the device was slowed down: {', '.join(conditions.slowed)}"
    seen = conditions.foreign_processes
    computing = () if isinstance(seen, Absent) or allow_foreign_processes else _computing(seen)
    return f"other processes used the GPU: {_named(computing)}" if computing else ""


def _computing(found: tuple[ForeignProcess, ...]) -> tuple[ForeignProcess, ...]:
    """Return the processes that compute: every desktop draws."""
    return tuple(process for process in found if not process.graphics_only)


def _named(found: tuple[ForeignProcess, ...]) -> str:
    names = []
    for process in found:
        used = process.used_bytes
        size = "" if isinstance(used, Absent) else f", {format_bytes(used)}"
        names.append(f"{process.name} (pid {process.pid}{size})")
    return ", ".join(names)


def _mirrored(recorder: Recorder) -> Pairing:
    """Return the blocks so far, with the baseline's repeated after the cell's."""
    blocks, last = recorder.blocks, recorder.blocks[-1]
    end_s = last.begun_s + sum(repeat.latency_s for repeat in last.repeats)
    own = (block for block in blocks if block.side == "baseline")
    again = (block.model_copy(update={"begun_s": block.begun_s + end_s}) for block in own)
    return Pairing(kind="sandwiched", blocks=(*blocks, *again))
