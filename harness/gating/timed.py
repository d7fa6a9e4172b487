"""What the timed blocks of a cell are to the gate: latency, throughput, speedup, as sure as the report shows them."""

from collections.abc import Callable

from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.gating.readings import Once, Reading, Timed
from harness.stats.confidence import transform
from harness.stats.latency import cell_latency
from harness.stats.speedup import NO_CALLS, over_baseline


def of_latency(cell: Completed, figure: Callable[[float], float] = float) -> Reading | Absent:
    """Return a figure that rises or falls with the median seconds of a call: the call itself, images per second …"""
    if not cell.repeats:
        return NO_CALLS
    found = cell_latency(cell.pairing)
    observed = figure(found.median_s.estimate)
    looks = counted(found.blocks, "block") if found.blocks > 1 else counted(found.calls, "call")
    if isinstance(found.spread, Absent):
        return Once(observed, looks)
    return Timed(observed, transform(found.spread, figure), looks)


def of_speedup(baseline: Completed | None, cell: Completed) -> Reading | Absent:
    """Return the speedup, from the same confidence distribution that the report's interval is read from."""
    found = over_baseline(baseline, cell)
    if isinstance(found, Absent):
        return found
    looks = (
        counted(found.groups, "ABBA group")
        if found.groups
        else counted(len(cell.pairing.of("cell")), "block")
    )
    if isinstance(found.spread, Absent):
        return Once(found.estimate, looks)
    return Timed(found.estimate, found.spread, looks)


def counted(count: int, noun: str) -> str:
    """Return so many of something, in words."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
