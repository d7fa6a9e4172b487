"""Time blocks of calls, alternating between cell and baseline, until the stopping rule holds."""

import os
import time
from collections.abc import Callable
from itertools import count
from typing import Literal, NamedTuple, Protocol

import psutil

from harness.core.errors import MachineError
from harness.core.timing import Block, Conditions, ForeignProcess, Pairing, Repeat, Side
from harness.core.units import Absent, format_bytes
from harness.execution.stopping_rule import StoppingRule
from harness.execution.task import BaselineWorkerLost, Broken
from harness.measure.conditions import watching
from harness.measure.nvml import foreign_processes
from harness.stats.speedup import precise


class Timeable(Protocol):
    """Who makes timed calls: a worker, or the baseline's."""

    @property
    def pid(self) -> int:
        """Of the process that makes them."""

    def block(self, calls: int) -> tuple[Repeat, ...]:
        """Return this many timed calls, one right after the other; raises Broken."""


def give_up(broken: Broken) -> None:
    """Try no more: a cell that broke has failed."""
    raise broken


class BlockSource(NamedTuple):
    """One side of a pairing: who works, how many calls its blocks have, and what is done when it breaks.

    `revive` raises where there is nothing to be done; else the block is taken again.
    """

    side: Side
    worker: Timeable
    calls: int
    revive: Callable[[Broken], None] = give_up


class Recorder:
    """The blocks of one pairing, in order; `spent_s` is what their calls took."""

    def __init__(self, device: str, allow_foreign_processes: bool) -> None:
        self.blocks: list[Block] = []
        self.spent_s = 0.0
        self._device, self._allow_foreign_processes = device, allow_foreign_processes
        self._begin: float | None = None

    @property
    def next_round(self) -> int:
        """The number of a group that was not begun yet."""
        return 1 + max((block.round_index for block in self.blocks), default=-1)

    def take(self, source: BlockSource, round_index: int) -> None:
        """Take one block, and once more if the machine was not in a state to time anything; both are kept."""
        block = self._take(source, round_index)
        spoilt = _spoilt(block.conditions, self._allow_foreign_processes)
        if spoilt:
            self.blocks.append(block.model_copy(update={"superseded": spoilt}))
            block = self._take(source, round_index)
        self.blocks.append(block)

    def discard(self, why: str, side: Side | None = None, round_index: int | None = None) -> None:
        """Let the blocks of a side or a group count no more; they are still shown."""
        for place, block in enumerate(self.blocks):
            if side in (None, block.side) and round_index in (None, block.round_index) and not block.superseded:
                self.blocks[place] = block.model_copy(update={"superseded": why})

    def _take(self, source: BlockSource, round_index: int) -> Block:
        while True:
            try:
                return self._once(source, round_index)
            except Broken as broken:
                source.revive(broken)

    def _once(self, source: BlockSource, round_index: int) -> Block:
        with watching(self._device, ours(source.worker.pid)) as watch:
            begin = time.perf_counter()
            self._begin = begin if self._begin is None else self._begin
            repeats = source.worker.block(source.calls)
        self.spent_s += sum(repeat.latency_s for repeat in repeats)
        return Block(
            side=source.side,
            round_index=round_index,
            begun_s=begin - self._begin,
            repeats=repeats,
            conditions=watch.conditions,
        )


def ours(*first: int) -> tuple[int, ...]:
    """Return the pids of all our processes, these first: this one, the fork server, workers, and what they started."""
    family = (os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True)))
    return (*first, *(pid for pid in family if pid not in first))


def refuse_foreign_processes(device: str) -> None:
    """Raise MachineError if processes that are not ours use the GPU: nothing can be timed beside them."""
    found = foreign_processes(device, ours())
    if isinstance(found, Absent) or not found:
        return
    fix = "End them, choose another card with CUDA_VISIBLE_DEVICES, or set measure.allow_foreign_processes = true."
    raise MachineError(f"other processes use the GPU: {_named(found)}", device, fix)


def _spoilt(conditions: Conditions, allow_foreign_processes: bool) -> str:
    """Return why a block tells nothing of the cell, or ''."""
    if conditions.slowed:
        return f"the device was slowed down: {', '.join(conditions.slowed)}"
    if (
        not isinstance(conditions.foreign_processes, Absent)
        and conditions.foreign_processes
        and not allow_foreign_processes
    ):
        return f"other processes came to the GPU: {_named(conditions.foreign_processes)}"
    return ""


def _named(found: tuple[ForeignProcess, ...]) -> str:
    return ", ".join(f"{process.name} ({_details(process)})" for process in found)


def _details(process: ForeignProcess) -> str:
    used = "" if isinstance(process.used_bytes, Absent) else f", {format_bytes(process.used_bytes)}"
    return f"pid {process.pid}{used}"


BEFORE, AMID = (0.25, 0.5), (0.75, 0.8)
"""What share of the time may be over, and what share of the width asked for is enough, after the baseline's blocks
before a cell and after the cell's own: what is to come adds to the width, and more blocks at the end mend little."""


def interleave(recorder: Recorder, baseline: BlockSource, cell: BlockSource, stopping_rule: StoppingRule) -> Pairing:
    """Alternate both sides: baseline, cell, cell, baseline, so that a steady drift favours neither.

    Raises PartnerLost where the baseline's process is gone before the groups tell anything; later, the group that it
    left unfinished does not count, for a drift does not cancel in it.
    """
    for round_index in count():
        try:
            for source in (baseline, cell, cell, baseline):
                recorder.take(source, round_index)
        except BaselineWorkerLost as lost:
            whole = tuple(block for block in recorder.blocks if block.round_index < round_index)
            if precise(Pairing(kind="interleaved", blocks=whole)) is None:
                raise
            recorder.discard(f"its group was not finished: {lost}", round_index=round_index)
            return _made(recorder, "interleaved", stopped=str(lost))
        stopped = stopping_rule.reached(_made(recorder, "interleaved"), round_index + 1, recorder.spent_s)
        if stopped:
            return _made(recorder, "interleaved", stopped=stopped)
    raise AssertionError("groups never run out")


def by_itself(recorder: Recorder, cell: BlockSource, stopping_rule: StoppingRule, why: str = "") -> Pairing:
    """Take blocks of the cell alone, each a group of its own, until its own latency is precise.

    What was timed of the baseline before does not count: nothing is beside it.
    """
    begin_s = recorder.spent_s
    recorder.discard(f"the cell was timed by itself: {why}", side="baseline")
    for taken in count(1):
        recorder.take(cell, recorder.next_round)
        stopped = stopping_rule.reached(_made(recorder, "alone"), taken, recorder.spent_s - begin_s)
        if stopped:
            return _made(recorder, "alone", stopped, why)
    raise AssertionError("blocks never run out")


def before(recorder: Recorder, baseline: BlockSource, stopping_rule: StoppingRule) -> None:
    """Take blocks of the baseline, all in one group, until its own latency is precise enough or time is up."""
    for taken in count(1):
        recorder.take(baseline, 0)
        own = tuple(block.model_copy(update={"side": "cell"}) for block in recorder.blocks)
        if stopping_rule.part(*BEFORE).reached(Pairing(kind="alone", blocks=own), taken, recorder.spent_s):
            return


def amid(recorder: Recorder, cell: BlockSource, stopping_rule: StoppingRule) -> None:
    """Take blocks of the cell, twice as many as of the baseline before it at least, each a group of its own.

    Until the speedup would be precise enough, were the baseline timed after it as it was before, or time is up.
    """
    for taken in count(1):
        recorder.take(cell, recorder.next_round)
        if stopping_rule.part(*AMID).reached(_mirrored(recorder), taken // 2, recorder.spent_s):
            return


def after(recorder: Recorder, baseline: BlockSource, stopping_rule: StoppingRule, why: str) -> Pairing:
    """Take blocks of the baseline after the cell, all in one group, until the speedup is precise; return all blocks.

    A baseline that is lost leaves the blocks that are there.
    """
    round_index = recorder.next_round
    for taken in count(1):
        try:
            recorder.take(baseline, round_index)
        except BaselineWorkerLost as lost:
            return _made(recorder, "sandwiched", str(lost), why)
        stopped = stopping_rule.reached(_made(recorder, "sandwiched"), taken, recorder.spent_s)
        if stopped:
            return _made(recorder, "sandwiched", stopped, why)
    raise AssertionError("blocks never run out")


def one_sided(recorder: Recorder, why: str, lost: str) -> Pairing:
    """Return what there is of a cell whose baseline is lost before it was timed after it."""
    return _made(recorder, "sandwiched", lost, why)


def _mirrored(recorder: Recorder) -> Pairing:
    """Return the blocks of the baseline and the cell with the baseline's once more after the cell."""
    blocks, last = recorder.blocks, recorder.blocks[-1]
    end_s = last.begun_s + sum(repeat.latency_s for repeat in last.repeats)
    again = (_later(block, end_s) for block in blocks if block.side == "baseline")
    return Pairing(kind="sandwiched", blocks=(*blocks, *again))


def _later(block: Block, by_s: float) -> Block:
    return block.model_copy(update={"begun_s": block.begun_s + by_s})


def _made(
    recorder: Recorder, kind: Literal["interleaved", "sandwiched", "alone"], stopped: str = "", why: str = ""
) -> Pairing:
    return Pairing(kind=kind, blocks=tuple(recorder.blocks), stopped=stopped, why=why)
