"""Blocks of timed calls as numbers: the logarithm of each one's median, and when it was timed."""

import math
from collections.abc import Sequence
from statistics import fmean, median

import numpy as np
from numpy.typing import NDArray

from harness.core.timing import Block

Floats = NDArray[np.float64]


def latencies(block: Block) -> list[float]:
    """Return the seconds of each call of a block."""
    return [repeat.latency_s for repeat in block.repeats]


def log_medians(blocks: Sequence[Block]) -> Floats:
    """Return the natural logarithm of each block's median seconds of a call (n,)."""
    return np.array([math.log(median(latencies(block))) for block in blocks])


def group_levels(blocks: Sequence[Block]) -> dict[int, float]:
    """Return group → the mean of the log medians of its blocks."""
    grouped: dict[int, list[float]] = {}
    for block, level in zip(blocks, log_medians(blocks), strict=True):
        grouped.setdefault(block.group, []).append(float(level))
    return {group: fmean(levels) for group, levels in grouped.items()}


def brackets(baseline: Sequence[Block], cell: Sequence[Block]) -> tuple[tuple[Block, ...], tuple[Block, ...]]:
    """Return the baseline's blocks before the first one (there is one) of a sandwiched cell, and after it."""
    turn = cell[0].begun_s
    before = tuple(block for block in baseline if block.begun_s < turn)
    return before, tuple(block for block in baseline if block.begun_s >= turn)


def middles_s(blocks: Sequence[Block]) -> Floats:
    """Return the seconds (n,) at the middle of each block, counted from the first block of the pairing."""
    return np.array([block.begun_s + sum(latencies(block)) / 2 for block in blocks])
