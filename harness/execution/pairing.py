"""Time blocks of calls, alternating between cell and baseline, until the stopping rule holds."""

import os
import time
from collections.abc import Callable
from itertools import count
from typing import Literal, NamedTuple, Protocol

import psutil

from harness.core.errors import MachineError
from harness.core.timing import Block, Conditions, Pairing, Repeat, Side, Visitor
from harness.core.units import Absent, format_bytes
from harness.execution.stopping_rule import Goal
from harness.execution.task import Broken, PartnerLost
from harness.measure.conditions import watching
from harness.measure.nvml import visitors
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


class Turn(NamedTuple):
    """One side of a pairing: who works, how many calls its blocks have, and what is done when it breaks.

    `revive` raises where there is nothing to be done; else the block is taken again.
    """

    side: Side
    worker: Timeable
    calls: int
    revive: Callable[[Broken], None] = give_up


class Recorder:
    """The blocks of one pairing, in order; `spent_s` is what their calls took."""

    def __init__(self, device: str, allow_visitors: bool) -> None:
        self.blocks: list[Block] = []
        self.spent_s = 0.0
        self._device, self._allow_visitors = device, allow_visitors
        self._begin: float | None = None

    @property
    def next_group(self) -> int:
        """The number of a group that was not begun yet."""
        return 1 + max((block.group for block in self.blocks), default=-1)

    def take(self, turn: Turn, group: int) -> None:
        """Take one block, and once more if the machine was not in a state to time anything; both are kept."""
        block = self._take(turn, group)
        spoilt = _spoilt(block.conditions, self._allow_visitors)
        if spoilt:
            self.blocks.append(block.model_copy(update={"superseded": spoilt}))
            block = self._take(turn, group)
        self.blocks.append(block)

    def discard(self, why: str, side: Side | None = None, group: int | None = None) -> None:
        """Let the blocks of a side or a group count no more; they are still shown."""
        for place, block in enumerate(self.blocks):
            if side in (None, block.side) and group in (None, block.group) and not block.superseded:
                self.blocks[place] = block.model_copy(update={"superseded": why})

    def _take(self, turn: Turn, group: int) -> Block:
        while True:
            try:
                return self._once(turn, group)
            except Broken as broken:
                turn.revive(broken)

    def _once(self, turn: Turn, group: int) -> Block:
        with watching(self._device, ours(turn.worker.pid)) as watch:
            begin = time.perf_counter()
            self._begin = begin if self._begin is None else self._begin
            repeats = turn.worker.block(turn.calls)
        self.spent_s += sum(repeat.latency_s for repeat in repeats)
        return Block(
            side=turn.side,
            group=group,
            begun_s=begin - self._begin,
            repeats=repeats,
            conditions=watch.conditions,
        )


def ours(*first: int) -> tuple[int, ...]:
    """Return the pids of all our processes, these first: this one, the fork server, workers, and what they started."""
    family = (os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True)))
    return (*first, *(pid for pid in family if pid not in first))


def refuse_visitors(device: str) -> None:
    """Raise MachineError if processes that are not ours use the GPU: nothing can be timed beside them."""
    found = visitors(device, ours())
    if isinstance(found, Absent) or not found:
        return
    fix = "End them, choose another card with CUDA_VISIBLE_DEVICES, or set measure.allow_visitors = true."
    raise MachineError(f"other processes use the GPU: {_named(found)}", device, fix)


def _spoilt(conditions: Conditions, allow_visitors: bool) -> str:
    """Return why a block tells nothing of the cell, or ''."""
    if conditions.slowed:
        return f"the device was slowed down: {', '.join(conditions.slowed)}"
    if not isinstance(conditions.visitors, Absent) and conditions.visitors and not allow_visitors:
        return f"other processes came to the GPU: {_named(conditions.visitors)}"
    return ""


def _named(found: tuple[Visitor, ...]) -> str:
    return ", ".join(f"{visitor.name} ({_details(visitor)})" for visitor in found)


def _details(visitor: Visitor) -> str:
    used = "" if isinstance(visitor.used_bytes, Absent) else f", {format_bytes(visitor.used_bytes)}"
    return f"pid {visitor.pid}{used}"


BEFORE, AMID = (0.25, 0.5), (0.75, 0.8)
"""What share of the time may be over, and what share of the width asked for is enough, after the baseline's blocks
before a cell and after the cell's own: what is to come adds to the width, and more blocks at the end mend little."""


def interleave(recorder: Recorder, baseline: Turn, cell: Turn, goal: Goal) -> Pairing:
    """Alternate both sides: baseline, cell, cell, baseline, so that a steady drift favours neither.

    Raises PartnerLost where the baseline's process is gone before the groups tell anything; later, the group that it
    left unfinished does not count, for a drift does not cancel in it.
    """
    for group in count():
        try:
            for turn in (baseline, cell, cell, baseline):
                recorder.take(turn, group)
        except PartnerLost as lost:
            whole = tuple(block for block in recorder.blocks if block.group < group)
            if precise(Pairing(kind="interleaved", blocks=whole)) is None:
                raise
            recorder.discard(f"its group was not finished: {lost}", group=group)
            return _made(recorder, "interleaved", stopped=str(lost))
        stopped = goal.reached(_made(recorder, "interleaved"), group + 1, recorder.spent_s)
        if stopped:
            return _made(recorder, "interleaved", stopped=stopped)
    raise AssertionError("groups never run out")


def by_itself(recorder: Recorder, cell: Turn, goal: Goal, why: str = "") -> Pairing:
    """Take blocks of the cell alone, each a group of its own, until its own latency is precise.

    What was timed of the baseline before does not count: nothing is beside it.
    """
    begin_s = recorder.spent_s
    recorder.discard(f"the cell was timed by itself: {why}", side="baseline")
    for taken in count(1):
        recorder.take(cell, recorder.next_group)
        stopped = goal.reached(_made(recorder, "alone"), taken, recorder.spent_s - begin_s)
        if stopped:
            return _made(recorder, "alone", stopped, why)
    raise AssertionError("blocks never run out")


def before(recorder: Recorder, baseline: Turn, goal: Goal) -> None:
    """Take blocks of the baseline, all in one group, until its own latency is precise enough or time is up."""
    for taken in count(1):
        recorder.take(baseline, 0)
        own = tuple(block.model_copy(update={"side": "cell"}) for block in recorder.blocks)
        if goal.part(*BEFORE).reached(Pairing(kind="alone", blocks=own), taken, recorder.spent_s):
            return


def amid(recorder: Recorder, cell: Turn, goal: Goal) -> None:
    """Take blocks of the cell, twice as many as of the baseline before it at least, each a group of its own.

    Until the speedup would be precise enough, were the baseline timed after it as it was before, or time is up.
    """
    for taken in count(1):
        recorder.take(cell, recorder.next_group)
        if goal.part(*AMID).reached(_mirrored(recorder), taken // 2, recorder.spent_s):
            return


def after(recorder: Recorder, baseline: Turn, goal: Goal, why: str) -> Pairing:
    """Take blocks of the baseline after the cell, all in one group, until the speedup is precise; return all blocks.

    A baseline that is lost leaves the blocks that are there.
    """
    group = recorder.next_group
    for taken in count(1):
        try:
            recorder.take(baseline, group)
        except PartnerLost as lost:
            return _made(recorder, "sandwiched", str(lost), why)
        stopped = goal.reached(_made(recorder, "sandwiched"), taken, recorder.spent_s)
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
