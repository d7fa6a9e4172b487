"""Time a cell in blocks, by turns with the baseline or by itself, until the figure asked for is precise."""

from itertools import count
from typing import Literal

from harness.core.timing import Block, Pairing
from harness.execution.goal import Goal
from harness.execution.partner import PartnerLost
from harness.execution.recording import Recorder, Turn
from harness.stats.speedup import precise

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
