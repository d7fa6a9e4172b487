"""The speedup of a cell over the baseline that was timed beside it, as sure as their blocks make it."""

import math
from typing import NamedTuple

from harness.core.quality import Interval, Uncertainty
from harness.core.timing import Block, Pairing
from harness.core.units import Absent
from harness.stats.blocks import group_levels, latencies, log_medians
from harness.stats.confidence import interval
from harness.stats.latency import log_median
from harness.stats.location import Location, combine, locate
from harness.stats.sandwich import drift_share, log_ratio
from harness.stats.warming import steady, steady_blocks, warming

LEAST_GROUPS = 8
"""Groups (of a cell timed alone: blocks) without which no precision counts as reached.

An interval that is narrow by chance would stop too early. By simulation (tests/unit/test_stats_speedup.py): where the
clock wanders, intervals that were stopped for being narrow hold the true speedup in 92 % with 6 and in 94 % with 8."""


class Speedup(NamedTuple):
    """Seconds per image of the baseline ÷ of the cell, with its interval and its whole confidence distribution.

    `log` is the logarithm of the ratio, `groups` are the ABBA groups behind it (0: not interleaved), `warming` those
    left out at the beginning; `drift_share` is how much slower a sandwiched cell's baseline was after than before.
    """

    estimate: float
    interval: Interval | Absent
    spread: Uncertainty | Absent
    log: Location
    groups: int = 0
    warming: int = 0
    drift_share: float | None = None


def speedup(pairing: Pairing, images: tuple[int, int] = (1, 1)) -> Speedup:
    """Return the speedup per image of a cell's pairing; `images` are the baseline's and the cell's batch sizes.

    Interleaved: of each ABBA group log(geometric mean of the baseline's block medians ÷ of the cell's), in which a
    linear drift cancels, and of the groups the Hodges–Lehmann location with a bootstrap over groups; groups at the
    beginning in which a side still warms up do not count. Sandwiched: see `sandwich`. Superseded blocks never count.
    Raises ValueError where a side has no blocks.
    """
    baseline, cell = pairing.of("baseline"), pairing.of("cell")
    if not baseline or not cell:
        raise ValueError("a speedup needs blocks of the baseline and of the cell")
    if pairing.kind == "sandwiched":
        made = _made(log_ratio(baseline, cell), images, "bootstrap over blocks, baseline before and after")
        return made._replace(drift_share=drift_share(baseline, cell))
    theirs, mine = group_levels(baseline), group_levels(cell)
    groups = sorted(theirs.keys() & mine.keys())
    if not groups:
        raise ValueError("a speedup needs a group with blocks of both sides")
    left_out = warming(pairing)
    ratios = [theirs[group] - mine[group] for group in groups[left_out:]]
    made = _made(locate(ratios if len(ratios) > 1 else _halves(baseline, cell)), images, "bootstrap over ABBA groups")
    return made._replace(groups=len(ratios), warming=left_out)


def unpaired(baseline: Pairing, cell: Pairing, images: tuple[int, int] = (1, 1)) -> Speedup:
    """Return the ratio of medians of two cells that were timed each by itself: what drifted in between is part of it.

    Of each one's own blocks that had warmed up, also of a baseline that was timed beside others. Raises ValueError
    where one has none.
    """
    if not baseline.of("cell") or not cell.of("cell"):
        raise ValueError("a speedup needs blocks of the baseline and of the cell")
    theirs, mine = (log_median([latencies(block) for block in steady_blocks(side)]) for side in (baseline, cell))
    located = combine(theirs.estimate - mine.estimate, (theirs, mine))
    return _made(located, images, "bootstrap over blocks, unpaired")


def between(other: Speedup, cell: Speedup) -> Speedup:
    """Return the speedup of a cell over another one, both of which were timed beside the same baseline."""
    located = combine(cell.log.estimate - other.log.estimate, (cell.log, other.log))
    return _made(located, (1, 1), "ratio of both cells' speedups over the baseline")


class Reached(NamedTuple):
    """Half the relative width of a 95 % interval (None: there is none), and the groups or blocks it rests on."""

    half_width: float | None
    looks: int


def precise(pairing: Pairing) -> float | None:
    """Return how precise a pairing's figure is, or None while there are fewer looks at it than LEAST_GROUPS."""
    half_width, looks = precision_of(pairing)
    return half_width if looks >= LEAST_GROUPS else None


def precision_of(pairing: Pairing) -> Reached:
    """Return the precision of the speedup; of the median latency where a cell is timed alone.

    Of the latency too while the baseline after a sandwiched cell is still to come.
    """
    baseline, cell = pairing.of("baseline"), pairing.of("cell")
    if pairing.kind == "interleaved":
        if not baseline or not cell:
            return Reached(None, 0)
        made = speedup(pairing)
        return Reached(_half_width(made.interval), made.groups)
    if pairing.kind == "sandwiched" and cell and drift_share(baseline, cell) is not None:
        return Reached(_half_width(speedup(pairing).interval), len(steady(cell)))
    warm = steady(cell)
    located = _made(locate(log_medians(warm)), (1, 1), "").interval if warm else None
    return Reached(_half_width(located), len(warm))


def _halves(baseline: tuple[Block, ...], cell: tuple[Block, ...]) -> list[float]:
    """Return the log ratios AB and BA of an only group: a drift parts them, so that their interval is wide."""
    return [float(theirs - mine) for theirs, mine in zip(log_medians(baseline), log_medians(cell), strict=False)]


def _made(located: Location, images: tuple[int, int], method: str) -> Speedup:
    """Return the speedup per image of a log ratio of calls."""
    log = located._replace(estimate=located.estimate + math.log(images[1] / images[0]))
    estimate = math.exp(log.estimate)
    if not log.known():
        why = Absent(absent=f"one look says {estimate:.3g}×, and nothing how sure that is: raise measure.max_s")
        return Speedup(estimate, why, why, log)
    spread = log.spread()
    return Speedup(estimate, interval(spread, estimate, method), spread, log)


def _half_width(shown: Interval | Absent | None) -> float | None:
    return (shown.high / shown.low) ** 0.5 - 1 if isinstance(shown, Interval) else None
