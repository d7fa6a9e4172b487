"""A cell's level against the baseline's before and after it, where both did not fit into memory together."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.core.timing import Block
from harness.stats.blocks import log_medians, middles_s
from harness.stats.location import Location, locate, middle

Floats = NDArray[np.float64]

_STRETCHES = 4
"""The cell's blocks are cut into this many stretches at least, so that they tell how much a level strays."""


def log_ratio(baseline: Sequence[Block], cell: Sequence[Block]) -> Location:
    """Return log(baseline ÷ cell) of a call, the baseline's level drawn through to the time of each block of the cell.

    What the machine did meanwhile shows in the cell's own blocks: their scatter around that line, taken in stretches
    as long as the baseline's (batch means), is how far any stretch strays, the baseline's too unless its own blocks
    scatter more. With the baseline on one side of the cell only, its level stands as it was.
    """
    sides = [side for side in split(baseline, cell) if side]
    times = [float(middles_s(side).mean()) for side in sides]
    levels = [float(middle(log_medians(side))) for side in sides]
    at_s = middles_s(cell)
    ratios = np.interp(at_s, times, levels) - log_medians(cell)
    stretches = _stretches(ratios, min(len(side) for side in sides))
    if stretches.size < 2:
        return Location(float(middle(ratios)), math.inf, 0)
    strays = float(stretches.std(ddof=1))
    errors = [max(strays, _error(side)) for side in sides]
    later = float(np.interp(at_s, times, np.linspace(0, 1, len(times))).mean()) if len(times) > 1 else 0.0
    weights = (1 - later, later)[: len(sides)]
    spread = sum((weight * error) ** 2 for weight, error in zip(weights, errors, strict=True))
    return Location(float(middle(ratios)), math.sqrt(spread + strays**2 / stretches.size), stretches.size - 1)


def drift_share(baseline: Sequence[Block], cell: Sequence[Block]) -> float | None:
    """Return how much slower the baseline was after the cell than before, relatively; None without one of them."""
    before, after = split(baseline, cell)
    if not before or not after:
        return None
    return math.exp(float(middle(log_medians(after)) - middle(log_medians(before)))) - 1


def split(baseline: Sequence[Block], cell: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Return the baseline's blocks before the cell's first one, and after it."""
    turn = cell[0].begun_s
    return [block for block in baseline if block.begun_s < turn], [block for block in baseline if block.begun_s >= turn]


def _stretches(ratios: Floats, wanted: int) -> Floats:
    """Return the level of each stretch of about so many blocks."""
    count = min(ratios.size, max(_STRETCHES, ratios.size // wanted))
    return np.array([float(middle(part)) for part in np.array_split(ratios, count)])


def _error(side: Sequence[Block]) -> float:
    return locate(log_medians(side)).error if len(side) > 1 else 0.0
