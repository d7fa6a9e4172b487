"""Time a cell in blocks, by turns with the baseline or by itself, until the figure asked for is precise."""

from itertools import count
from typing import Literal

from harness.core.matrix import Measure
from harness.core.timing import FEWEST_GROUPS, Pairing
from harness.execution.goal import Goal
from harness.execution.partner import PartnerLost
from harness.execution.recording import Recorder, Turn
from harness.stats.speedup import LEAST_GROUPS, precise


def interleave(recorder: Recorder, baseline: Turn, cell: Turn, goal: Goal) -> Pairing:
    """Alternate both sides: baseline, cell, cell, baseline, so that a steady drift favours neither.

    Raises PartnerLost where the baseline's process is gone before the groups tell anything.
    """
    for group in count():
        try:
            for turn in (baseline, cell, cell, baseline):
                recorder.take(turn, group)
        except PartnerLost as lost:
            if precise(_made(recorder, "interleaved")) is None:
                raise
            return _made(recorder, "interleaved", stopped=str(lost))
        stopped = goal.reached(_made(recorder, "interleaved"), group + 1, recorder.spent_s)
        if stopped:
            return _made(recorder, "interleaved", stopped=stopped)
    raise AssertionError("groups never run out")


def by_itself(recorder: Recorder, cell: Turn, goal: Goal, why: str = "") -> Pairing:
    """Take blocks of the cell alone, each a group of its own, until its own latency is precise."""
    begin_s = recorder.spent_s
    for taken in count(1):
        recorder.take(cell, recorder.next_group)
        stopped = goal.reached(_made(recorder, "alone"), taken, recorder.spent_s - begin_s)
        if stopped:
            return _made(recorder, "alone", stopped, why)
    raise AssertionError("blocks never run out")


def bracket(recorder: Recorder, baseline: Turn, measure: Measure) -> None:
    """Take blocks of the baseline before a cell that has the memory to itself, or after it: one group."""
    begin_s, group = recorder.spent_s, recorder.next_group
    for taken in range(1, LEAST_GROUPS + 1):
        recorder.take(baseline, group)
        if taken >= FEWEST_GROUPS and recorder.spent_s - begin_s >= measure.max_s / 4:
            return


def sandwiched(recorder: Recorder, goal: Goal, why: str) -> Pairing:
    """Return the blocks of a cell between those of the baseline."""
    pairing = Pairing(kind="sandwiched", blocks=tuple(recorder.blocks), why=why)
    return pairing.model_copy(update={"stopped": goal.closing(pairing)})


def _made(recorder: Recorder, kind: Literal["interleaved", "alone"], stopped: str = "", why: str = "") -> Pairing:
    blocks = (block for block in recorder.blocks if kind == "interleaved" or block.side == "cell")
    return Pairing(kind=kind, blocks=tuple(blocks), stopped=stopped, why=why)
