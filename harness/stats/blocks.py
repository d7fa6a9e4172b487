"""Blocks of timed calls as numbers: the logarithm of each one's median, and when it was timed."""

import math
from collections.abc import Sequence
from statistics import median

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


def middles_s(blocks: Sequence[Block]) -> Floats:
    """Return the seconds (n,) at the middle of each block, counted from the first block of the pairing."""
    return np.array([block.begun_s + sum(latencies(block)) / 2 for block in blocks])
