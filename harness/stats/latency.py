"""The latency of a cell: the median of all warm calls, with a bootstrap over blocks."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Interval, Uncertainty
from harness.core.timing import Pairing
from harness.core.units import Absent
from harness.stats.confidence import interval
from harness.stats.location import Location, bootstrap, joined
from harness.stats.steady_state import latencies, steady_blocks

METHOD = "bootstrap of the median over blocks"
ONE_CALL = Absent(absent="no interval: a single call was timed")


class Latency(NamedTuple):
    """Seconds of a call: median of `calls` in `blocks`, its confidence distribution, and p95."""

    calls: int
    blocks: int
    median_s: Interval
    spread: Uncertainty | Absent
    p95_s: float


def cell_latency(pairing: Pairing) -> Latency:
    """Return the latency of a cell's own warm calls; ValueError without any."""
    return compute_latency([latencies(block) for block in steady_blocks(pairing)])


def image_s(pairing: Pairing, batch: int) -> float | None:
    """Return the median seconds of one image over warm calls that generate `batch` images each."""
    calls = [seconds for block in steady_blocks(pairing) for seconds in latencies(block)]
    return float(np.median(calls)) / batch if calls else None


def compute_latency(blocks: Sequence[Sequence[float]]) -> Latency:
    """Return the median of all calls, given as seconds by block.

    Calls of a block are alike, so blocks are resampled (calls, if there is only one block). Of a
    single call the interval is that call, its method says so, and there is no spread. Raises
    ValueError without calls.
    """
    calls = np.array([seconds for block in blocks for seconds in block])
    if not calls.size:
        raise ValueError("no latency samples")
    estimate, p95_s = float(np.median(calls)), float(np.quantile(calls, 0.95))
    located = log_median(blocks)
    if not located.known():
        one = Interval(
            estimate=estimate, low=estimate, high=estimate, method="one call: no interval"
        )
        return Latency(calls.size, len(blocks), one, ONE_CALL, p95_s)
    spread = located.spread()
    return Latency(calls.size, len(blocks), interval(spread, estimate, METHOD), spread, p95_s)


def log_median(blocks: Sequence[Sequence[float]]) -> Location:
    """Return the logarithm of the median of all calls, given as seconds by block."""
    units = blocks if len(blocks) > 1 else [[seconds] for seconds in blocks[0]]
    owner = np.repeat(joined(len(units)), [len(unit) for unit in units])
    calls = np.array([seconds for unit in units for seconds in unit])
    order = calls.argsort()
    logs, owner, count = np.log(calls[order]), owner[order], int(owner.max()) + 1

    def medians(drawn: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.array(
            [_median(logs, np.bincount(places, minlength=count)[owner]) for places in drawn]
        )

    return Location(math.log(float(np.median(calls))), *bootstrap(count, medians))


def _median(values: NDArray[np.float64], times: NDArray[np.int64]) -> float:
    """Return the median of sorted values that occur `times` often each."""
    ranks = times.cumsum()
    total = int(ranks[-1])
    return float(values[ranks.searchsorted([(total + 1) // 2, total // 2 + 1])].mean())
