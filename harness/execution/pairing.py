"""Time blocks of calls, of a cell and the baseline, until the stopping rule holds."""

import os
import time
from collections.abc import Callable
from itertools import count
from typing import Literal, NamedTuple, NoReturn, Protocol

import psutil

from harness.core.errors import MachineError
from harness.core.timing import Block, Conditions, Pairing, Repeat, Side, Visitor
from harness.core.units import Absent, format_bytes
from harness.execution.stopping_rule import Goal
from harness.execution.task import Broken, PartnerLost
from harness.measure.conditions import watching
from harness.measure.nvml import visitors
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


class Turn(NamedTuple):
    """One side of a pairing: its worker, the calls of a block, and how to recover from a failure.

    `revive` raises if it cannot recover; otherwise the block is taken again.
    """

    side: Side
    worker: Timeable
    calls: int
    revive: Callable[[Broken], None] = give_up


class Recorder:
    """Collects the blocks of one pairing; `spent_s` is the sum of their latencies."""

    def __init__(self, device: str, allow_visitors: bool) -> None:
        self.blocks: list[Block] = []
        self.spent_s = 0.0
        self._device, self._allow_visitors = device, allow_visitors
        self._begin: float | None = None

    @property
    def next_group(self) -> int:
        """The index of the next round."""
        return 1 + max((block.group for block in self.blocks), default=-1)

    def take(self, turn: Turn, group: int) -> None:
        """Take one block; if the machine's state spoiled it, mark it as superseded and repeat."""
        block = self._take(turn, group)
        spoilt = _spoilt(block.conditions, self._allow_visitors)
        if spoilt:
            self.blocks.append(block.model_copy(update={"superseded": spoilt}))
            block = self._take(turn, group)
        self.blocks.append(block)

    def discard(self, why: str, side: Side | None = None, group: int | None = None) -> None:
        """Mark the blocks of a side or a round as superseded; reports still show them."""
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
        begun_s, conditions = begin - self._begin, watch.conditions
        return Block(
            side=turn.side, group=group, begun_s=begun_s, repeats=repeats, conditions=conditions
        )


def interleave(recorder: Recorder, baseline: Turn, cell: Turn, goal: Goal) -> Pairing:
    """Take rounds of baseline, cell, cell, baseline, so that a steady drift cancels.

    Raises PartnerLost if the baseline fails before the rounds give an interval; later, only its
    last, unfinished round is superseded.
    """
    for group in count():
        try:
            for turn in (baseline, cell, cell, baseline):
                recorder.take(turn, group)
        except PartnerLost as lost:
            whole = tuple(block for block in recorder.blocks if block.group < group)
            if precise(Pairing(kind="interleaved", blocks=whole)) is None:
                raise
            recorder.discard(f"its round is incomplete: {lost}", group=group)
            return _made(recorder, "interleaved", stopped=str(lost))
        stopped = goal.reached(_made(recorder, "interleaved"), group + 1, recorder.spent_s)
        if stopped:
            return _made(recorder, "interleaved", stopped=stopped)
    raise AssertionError("count() is infinite")


def by_itself(recorder: Recorder, cell: Turn, goal: Goal, why: str = "") -> Pairing:
    """Take blocks of the cell alone, each a round, until its latency is precise.

    Earlier blocks of the baseline are superseded.
    """
    begin_s = recorder.spent_s
    recorder.discard(f"the cell was timed alone: {why}", side="baseline")
    for taken in count(1):
        recorder.take(cell, recorder.next_group)
        stopped = goal.reached(_made(recorder, "alone"), taken, recorder.spent_s - begin_s)
        if stopped:
            return _made(recorder, "alone", stopped, why)
    raise AssertionError("count() is infinite")


def before(recorder: Recorder, baseline: Turn, goal: Goal) -> None:
    """Take the first blocks of the baseline, all in one round."""
    for taken in count(1):
        recorder.take(baseline, 0)
        own = tuple(block.model_copy(update={"side": "cell"}) for block in recorder.blocks)
        if goal.part(*BEFORE).reached(Pairing(kind="alone", blocks=own), taken, recorder.spent_s):
            return


def amid(recorder: Recorder, cell: Turn, goal: Goal) -> None:
    """Take blocks of the cell, each a round, and at least twice as many as of the baseline before.

    They are enough if the speedup would be precise with the baseline's first blocks repeated at the
    end.
    """
    for taken in count(1):
        recorder.take(cell, recorder.next_group)
        if goal.part(*AMID).reached(_mirrored(recorder), taken // 2, recorder.spent_s):
            return


def after(recorder: Recorder, baseline: Turn, goal: Goal, why: str) -> Pairing:
    """Take the last blocks of the baseline, all in one round, and return all blocks.

    A baseline that fails ends the measurement with the blocks so far.
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
    raise AssertionError("count() is infinite")


def one_sided(recorder: Recorder, why: str, lost: str) -> Pairing:
    """Return the blocks of a cell whose baseline failed before its last blocks."""
    return _made(recorder, "sandwiched", lost, why)


def ours(*first: int) -> tuple[int, ...]:
    """Return the pids of `first`, this process and all its descendants."""
    family = (os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True)))
    return (*first, *(pid for pid in family if pid not in first))


def refuse_visitors(device: str) -> None:
    """Raise MachineError if foreign processes use the GPU: they would distort all timing."""
    found = visitors(device, ours())
    if isinstance(found, Absent) or not found:
        return
    fix = (
        "End them, choose another card with CUDA_VISIBLE_DEVICES,"
        " or set measure.allow_visitors = true."
    )
    raise MachineError(f"other processes use the GPU: {_named(found)}", device, fix)


def _spoilt(conditions: Conditions, allow_visitors: bool) -> str:
    """Return why a block's timing is not valid, or ''."""
    if conditions.slowed:
        return f"the device was slowed down: {', '.join(conditions.slowed)}"
    if not isinstance(conditions.visitors, Absent) and conditions.visitors and not allow_visitors:
        return f"other processes used the GPU: {_named(conditions.visitors)}"
    return ""


def _named(found: tuple[Visitor, ...]) -> str:
    names = []
    for visitor in found:
        used = visitor.used_bytes
        size = "" if isinstance(used, Absent) else f", {format_bytes(used)}"
        names.append(f"{visitor.name} (pid {visitor.pid}{size})")
    return ", ".join(names)


def _mirrored(recorder: Recorder) -> Pairing:
    """Return the blocks so far, with the baseline's repeated after the cell's."""
    blocks, last = recorder.blocks, recorder.blocks[-1]
    end_s = last.begun_s + sum(repeat.latency_s for repeat in last.repeats)
    own = (block for block in blocks if block.side == "baseline")
    again = (block.model_copy(update={"begun_s": block.begun_s + end_s}) for block in own)
    return Pairing(kind="sandwiched", blocks=(*blocks, *again))


def _made(
    recorder: Recorder,
    kind: Literal["interleaved", "sandwiched", "alone"],
    stopped: str = "",
    why: str = "",
) -> Pairing:
    return Pairing(kind=kind, blocks=tuple(recorder.blocks), stopped=stopped, why=why)
