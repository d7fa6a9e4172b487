"""What the calls of a cell's blocks say of its latency: the median of all calls, with a bootstrap over blocks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Interval, Uncertainty
from harness.core.units import Absent
from harness.stats.confidence import interval
from harness.stats.location import Location, bootstrap

METHOD = "bootstrap of the median over blocks"
ONE_CALL = Absent(absent="one call was timed: nothing says how sure its time is")


class Latency(NamedTuple):
    """Seconds of a call: the median of `calls` in so many `blocks`, its confidence distribution, 95th percentile."""

    calls: int
    blocks: int
    median_s: Interval
    spread: Uncertainty | Absent
    p95_s: float


def latency_of(blocks: Sequence[Sequence[float]]) -> Latency:
    """Return the median of all calls, given as the seconds of each block's.

    Calls of a block are alike, so that blocks are the unit (of an only block: its calls). Of one call the interval is
    that call, its method says so, and there is no spread. Raises ValueError where there is no call.
    """
    calls = np.array([seconds for block in blocks for seconds in block])
    if not calls.size:
        raise ValueError("no latency samples")
    estimate, p95_s = float(np.median(calls)), float(np.quantile(calls, 0.95))
    located = log_median(blocks)
    if not located.known():
        one = Interval(estimate=estimate, low=estimate, high=estimate, method="one call: no interval")
        return Latency(calls.size, len(blocks), one, ONE_CALL, p95_s)
    spread = located.spread()
    return Latency(calls.size, len(blocks), interval(spread, estimate, METHOD), spread, p95_s)


def log_median(blocks: Sequence[Sequence[float]]) -> Location:
    """Return the logarithm of the median of all calls, given as the seconds of each block's, one at least."""
    units = _padded(blocks) if len(blocks) > 1 else np.array(blocks[0])[:, None]
    estimate = math.log(float(np.nanmedian(units)))
    return Location(estimate, *bootstrap(len(units), lambda drawn: _log_medians(units, drawn)))


def _padded(blocks: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Return the seconds of each block's calls (blocks, calls), with NaN where one has fewer."""
    longest = max(map(len, blocks))
    return np.array([[*block, *[math.nan] * (longest - len(block))] for block in blocks])


def _log_medians(units: NDArray[np.float64], drawn: NDArray[np.int64]) -> NDArray[np.float64]:
    taken = np.log(units)[drawn].reshape(len(drawn), -1)
    return np.asarray(np.nanmedian(taken, axis=1) if np.isnan(units).any() else np.median(taken, axis=1))
