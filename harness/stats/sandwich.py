"""A cell's level against the baseline's before and after it, where both did not fit into memory together."""

from collections.abc import Sequence

import numpy as np

from harness.core.timing import Block
from harness.stats.blocks import log_medians, middles_s, units
from harness.stats.location import Location, combine, locate

_BRIDGE = 12**-0.5
"""How far a wandering level strays from the line between its ends on average over the way, in units of the distance it
went: the standard deviation of the mean of a Brownian bridge."""


def log_ratio(baseline: Sequence[Block], cell: Sequence[Block]) -> Location:
    """Return log(baseline ÷ cell) of a call, the baseline's level drawn through to the time of each of the cell's blocks.

    Its error holds those of both sides, and what the level may have done in between: unknown, but of the size of the
    change that was seen. With the baseline on one side of the cell only, its level stands as it was.
    """
    before, after = split(baseline, cell)
    levels = [locate(units(side)) for side in (before, after) if side]
    times = [float(middles_s(side).mean()) for side in (before, after) if side]
    expected = np.interp(middles_s(cell), times, [level.estimate for level in levels])
    ratio = locate(expected - log_medians(cell) if len(cell) > 1 else expected - units(cell))
    shares = _weights(middles_s(cell), times)
    errors = [(share * level.error, level.freedom) for share, level in zip(shares, levels, strict=True)]
    apart = abs(levels[-1].estimate - levels[0].estimate)
    return combine(ratio.estimate, [(ratio.error, ratio.freedom), *errors, (apart * _BRIDGE, 1)])


def drift_share(baseline: Sequence[Block], cell: Sequence[Block]) -> float | None:
    """Return how much slower the baseline was after the cell than before, relatively; None without one of them."""
    before, after = split(baseline, cell)
    if not before or not after:
        return None
    return float(np.exp(locate(units(after)).estimate - locate(units(before)).estimate)) - 1


def split(baseline: Sequence[Block], cell: Sequence[Block]) -> tuple[list[Block], list[Block]]:
    """Return the baseline's blocks before the cell's first one, and after it."""
    turn = cell[0].begun_s
    return [block for block in baseline if block.begun_s < turn], [block for block in baseline if block.begun_s >= turn]


def _weights(at_s: np.ndarray, times: list[float]) -> list[float]:
    if len(times) < 2:
        return [1.0]
    share = float(np.interp(at_s, times, [0.0, 1.0]).mean())
    return [1 - share, share]
