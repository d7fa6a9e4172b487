"""A cell's level against the baseline's before and after it, where both did not fit into memory together."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from harness.core.timing import Block
from harness.stats.blocks import brackets, log_medians, middles_s
from harness.stats.location import Location, locate, middle
from harness.stats.warming import steady

Floats = NDArray[np.float64]

_STRETCHES = 4
"""The cell's blocks are cut into this many stretches at least, so that they tell how much a level strays."""


def log_ratio(baseline: Sequence[Block], cell: Sequence[Block]) -> Location:
    """Return log(baseline ÷ cell) of a call, the baseline's level drawn through to the time of each block of the cell.

    What still warmed up at the beginning of each of the three does not count. What the machine did meanwhile shows in
    how blocks scatter, taken in stretches (batch means): whichever of the three scatters most says how far any stretch
    strays, for a clock that jumps may have kept still during the others. With the baseline on one side of the cell
    only, its level stands as it was.
    """
    sides = [steady(side) for side in brackets(baseline, cell) if side]
    cell = steady(cell)
    times = [float(middles_s(side).mean()) for side in sides]
    levels = [float(middle(log_medians(side))) for side in sides]
    at_s = middles_s(cell)
    ratios = np.interp(at_s, times, levels) - log_medians(cell)
    least = min(len(side) for side in sides)
    stretches = _stretches(ratios, min(ratios.size, max(_STRETCHES, ratios.size // least)))
    if stretches.size < 2:
        return Location(float(middle(ratios)), math.inf, 0)
    length = max(1, min(ratios.size // stretches.size, least // 2))
    theirs = [_stretches(log_medians(side), len(side) // length) for side in sides if len(side) > 1]
    strays = max(float(levels.std(ddof=1)) for levels in (stretches, *theirs))
    errors = [max(strays, _error(side)) for side in sides]
    later = float(np.interp(at_s, times, np.linspace(0, 1, len(times))).mean()) if len(times) > 1 else 0.0
    weights = (1 - later, later)[: len(sides)]
    spread = sum((weight * error) ** 2 for weight, error in zip(weights, errors, strict=True))
    return Location(float(middle(ratios)), math.sqrt(spread + strays**2 / stretches.size), stretches.size - 1)


def drift_share(baseline: Sequence[Block], cell: Sequence[Block]) -> float | None:
    """Return how much slower the baseline was after the cell than before, relatively; None without one of them."""
    before, after = (steady(side) for side in brackets(baseline, cell))
    if not before or not after:
        return None
    return math.exp(float(middle(log_medians(after)) - middle(log_medians(before)))) - 1


def _stretches(values: Floats, count: int) -> Floats:
    """Return the level of each of so many stretches of about the same length."""
    return np.array([float(middle(part)) for part in np.array_split(values, count)])


def _error(side: Sequence[Block]) -> float:
    return locate(log_medians(side)).error if len(side) > 1 else 0.0
