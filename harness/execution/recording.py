"""Take blocks of timed calls, and write down when and in what state of the machine each was taken."""

import os
import time
from collections.abc import Callable
from typing import NamedTuple, Protocol

import psutil

from harness.core.errors import MachineError
from harness.core.timing import Block, Conditions, Repeat, Side, Visitor
from harness.core.units import Absent, format_bytes
from harness.execution.launchers import Broken
from harness.measure.conditions import watching
from harness.measure.visitors import visitors


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
