"""Which blocks of a pairing are of a machine that has warmed up: what every figure of time is made from."""

from collections.abc import Sequence

import numpy as np

from harness.core.timing import Block, Pairing, Side
from harness.stats.blocks import brackets, group_levels, log_medians
from harness.stats.steady import steady_from


def warming(pairing: Pairing) -> int:
    """Return how many groups at the beginning were still warming up, of a cell that was timed alone: how many blocks.

    An interleaved group counts once both sides are steady. A sandwiched cell and the baseline on either side of it warm
    up each by itself, which no number of groups tells: 0 (see `steady_blocks`).
    """
    baseline, cell = pairing.of("baseline"), pairing.of("cell")
    if pairing.kind == "alone":
        return steady_from(np.exp(log_medians(cell))) if cell else 0
    theirs, mine = group_levels(baseline), group_levels(cell)
    groups = sorted(theirs.keys() & mine.keys())
    if pairing.kind == "sandwiched" or not groups:
        return 0
    return max(steady_from(np.exp([side[group] for group in groups])) for side in (theirs, mine))


def steady(blocks: Sequence[Block]) -> tuple[Block, ...]:
    """Return blocks that were timed one after the other without those at the beginning that differ from the rest."""
    return tuple(blocks[steady_from(np.exp(log_medians(blocks))) :]) if blocks else ()


def steady_blocks(pairing: Pairing, side: Side = "cell") -> tuple[Block, ...]:
    """Return the blocks of one side that count, in order of time, without those that were still warming up."""
    blocks, left_out = pairing.of(side), warming(pairing)
    if pairing.kind == "sandwiched":
        cell = pairing.of("cell")
        parts = brackets(blocks, cell) if side == "baseline" and cell else (blocks,)
        return tuple(block for part in parts for block in steady(part))
    if not left_out or pairing.kind == "alone":
        return blocks[left_out:]
    groups = sorted({block.group for block in pairing.of("baseline")} & {block.group for block in pairing.of("cell")})
    return tuple(block for block in blocks if block.group >= groups[left_out])
