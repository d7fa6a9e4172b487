"""The speedup of a cell over the baseline, or over another cell, with its uncertainty."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.outcome import Completed
from harness.core.quality import Interval, Uncertainty
from harness.core.timing import MIN_ROUNDS_FOR_INTERVAL, Block, Pairing
from harness.core.units import Absent
from harness.stats.confidence import interval
from harness.stats.latency import log_median
from harness.stats.location import Location, combine, locate, middle
from harness.stats.steady_state import (
    brackets,
    latencies,
    log_medians,
    middles_s,
    round_levels,
    steady,
    steady_blocks,
    warming,
)

Floats = NDArray[np.float64]

_STRETCHES = 4
"""The cell's blocks are cut into at least this many stretches, to measure how much a level
varies."""


def log_ratio(baseline: Sequence[Block], cell: Sequence[Block]) -> Location:
    """Return log(baseline ÷ cell) of a call, where both did not fit into memory together.

    The baseline was measured before and after the cell; its level is interpolated to the time of
    each block of the cell. Warm-up at the beginning of each of the three does not count. How much
    the machine varied shows in the scatter of blocks, in stretches (batch means): the largest
    scatter of the three applies to any stretch, for a jumping clock may have been steady during the
    others. With the baseline on one side of the cell only, its level is constant.
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
    later = (
        float(np.interp(at_s, times, np.linspace(0, 1, len(times))).mean())
        if len(times) > 1
        else 0.0
    )
    weights = (1 - later, later)[: len(sides)]
    spread = sum((weight * error) ** 2 for weight, error in zip(weights, errors, strict=True))
    return Location(
        float(middle(ratios)), math.sqrt(spread + strays**2 / stretches.size), stretches.size - 1
    )


def drift_share(baseline: Sequence[Block], cell: Sequence[Block]) -> float | None:
    """Return the relative slowdown of the baseline from before to after the cell, if known."""
    before, after = (steady(side) for side in brackets(baseline, cell))
    if not before or not after:
        return None
    return math.exp(float(middle(log_medians(after)) - middle(log_medians(before)))) - 1


def _stretches(values: Floats, count: int) -> Floats:
    """Return the level of each of `count` stretches of about the same length."""
    return np.array([float(middle(part)) for part in np.array_split(values, count)])


def _error(side: Sequence[Block]) -> float:
    return locate(log_medians(side)).error if len(side) > 1 else 0.0


MIN_ROUNDS_FOR_VERDICT = 8
"""Measurement rounds (of a cell measured alone: blocks) below which no precision counts as
sufficient. An interval that is narrow by chance would stop too early. By simulation
(tests/unit/test_stats_speedup.py): with a drifting clock, intervals that were stopped for being
narrow cover the true speedup in 92 % with 6 rounds and in 94 % with 8."""


class Speedup(NamedTuple):
    """Seconds per image of the baseline ÷ of the cell, with its confidence distribution.

    `log` is the logarithm of the ratio, `rounds` the number of measurement rounds (0: not
    interleaved), `warming` of those left out at the beginning; `drift_share` is how much slower a
    sandwiched cell's baseline was after than before.
    """

    estimate: float
    interval: Interval | Absent
    spread: Uncertainty | Absent
    log: Location
    rounds: int = 0
    warming: int = 0
    drift_share: float | None = None


def speedup(pairing: Pairing, images: tuple[int, int] = (1, 1)) -> Speedup:
    """Return the speedup per image of a cell's pairing.

    `images` are the baseline's and the cell's batch sizes. Interleaved: log(geometric mean of the
    baseline's block medians ÷ of the cell's) of each measurement round, in which a linear drift
    cancels, and of all rounds the Hodges–Lehmann location with a bootstrap over rounds; rounds at
    the beginning in which a side still warms up do not count. Sandwiched: see `log_ratio`.
    Superseded blocks never count. Raises ValueError where a side has no blocks.
    """
    baseline, cell = pairing.of("baseline"), pairing.of("cell")
    if not baseline or not cell:
        raise ValueError("a speedup needs blocks of the baseline and of the cell")
    if pairing.kind == "sandwiched":
        made = _made(
            log_ratio(baseline, cell), images, "bootstrap over blocks, baseline before and after"
        )
        return made._replace(drift_share=drift_share(baseline, cell))
    theirs, mine = round_levels(baseline), round_levels(cell)
    rounds = sorted(theirs.keys() & mine.keys())
    if not rounds:
        raise ValueError("a speedup needs a group with blocks of both sides")
    left_out = warming(pairing)
    ratios = [theirs[round_index] - mine[round_index] for round_index in rounds[left_out:]]
    made = _made(
        locate(ratios if len(ratios) > 1 else _halves(baseline, cell)),
        images,
        "bootstrap over measurement rounds",
    )
    return made._replace(rounds=len(ratios), warming=left_out)


def unpaired(baseline: Pairing, cell: Pairing, images: tuple[int, int] = (1, 1)) -> Speedup:
    """Return the speedup of two cells measured separately, including any drift in between.

    From each cell's warm blocks, also of a baseline that was paired with others. Raises
    ValueError where one has none.
    """
    if not baseline.of("cell") or not cell.of("cell"):
        raise ValueError("a speedup needs blocks of the baseline and of the cell")
    theirs, mine = (
        log_median([latencies(block) for block in steady_blocks(side)]) for side in (baseline, cell)
    )
    located = combine(theirs.estimate - mine.estimate, (theirs, mine))
    return _made(located, images, "bootstrap over blocks, unpaired")


def compare_rounds(other: Completed, cell: Completed) -> Speedup | None:
    """Return the speedup of a cell over another one from the rounds that both shared; None without.

    In a shared round both were timed twice, so that a linear drift cancels in their ratio too.
    """
    sessions = other.pairing.session, cell.pairing.session
    if sessions[0] is None or sessions[1] is None or sessions[0].id != sessions[1].id:
        return None
    first = max(session.first_round for session in sessions if session)
    theirs, mine = (
        round_levels([b for b in steady_blocks(made.pairing) if b.round_index >= first])
        for made in (other, cell)
    )
    shared = sorted(theirs.keys() & mine.keys())
    if len(shared) < MIN_ROUNDS_FOR_INTERVAL:
        return None
    ratios = [theirs[round_index] - mine[round_index] for round_index in shared]
    made = _made(locate(ratios), (other.batch, cell.batch), "bootstrap over shared rounds")
    return made._replace(rounds=len(ratios))


def between(other: Speedup, cell: Speedup) -> Speedup:
    """Return the speedup of a cell over another one, both paired with the same baseline."""
    located = combine(cell.log.estimate - other.log.estimate, (cell.log, other.log))
    return _made(located, (1, 1), "ratio of both cells' speedups over the baseline")


class Precision(NamedTuple):
    """Relative half-width of a 95 % interval (None: none), and its number of rounds or blocks."""

    half_width: float | None
    samples: int


def precise(pairing: Pairing) -> float | None:
    """Return the precision of a pairing's figure; None below MIN_ROUNDS_FOR_VERDICT rounds."""
    half_width, samples = compute_precision(pairing)
    return half_width if samples >= MIN_ROUNDS_FOR_VERDICT else None


def compute_precision(pairing: Pairing) -> Precision:
    """Return the precision of the speedup; of the median latency where a cell is measured alone.

    Also of the latency while the baseline after a sandwiched cell is not measured yet.
    """
    baseline, cell = pairing.of("baseline"), pairing.of("cell")
    if pairing.kind == "interleaved":
        if not baseline or not cell:
            return Precision(None, 0)
        made = speedup(pairing)
        return Precision(_half_width(made.interval), made.rounds)
    if pairing.kind == "sandwiched" and cell and drift_share(baseline, cell) is not None:
        return Precision(_half_width(speedup(pairing).interval), len(steady(cell)))
    warm = steady(cell)
    located = _made(locate(log_medians(warm)), (1, 1), "").interval if warm else None
    return Precision(_half_width(located), len(warm))


def _halves(baseline: tuple[Block, ...], cell: tuple[Block, ...]) -> list[float]:
    """Return the log ratios AB and BA of a single round, which drift separates."""
    return [
        float(theirs - mine)
        for theirs, mine in zip(log_medians(baseline), log_medians(cell), strict=False)
    ]


def _made(located: Location, images: tuple[int, int], method: str) -> Speedup:
    """Return the speedup per image from a log ratio of calls."""
    log = located._replace(estimate=located.estimate + math.log(images[1] / images[0]))
    estimate = math.exp(log.estimate)
    if not log.known():
        why = Absent(
            absent=f"no interval: a single measurement ({estimate:.3g}×). Raise measure.max_s"
        )
        return Speedup(estimate, why, why, log)
    spread = log.spread()
    return Speedup(estimate, interval(spread, estimate, method), spread, log)


def _half_width(shown: Interval | Absent | None) -> float | None:
    return (shown.high / shown.low) ** 0.5 - 1 if isinstance(shown, Interval) else None


NO_BASELINE = Absent(absent="the baseline did not complete")
NO_CALLS = Absent(absent="no timed calls")


def over_baseline(baseline: Completed | None, cell: Completed) -> Speedup | Absent:
    """Return a cell's speedup over the baseline, from its own pairing if it has one.

    A cell that was measured alone is compared with the baseline's own blocks; the method then says
    `unpaired`.
    """
    if baseline is None or not baseline.repeats:
        return NO_BASELINE
    if not cell.repeats:
        return NO_CALLS
    images = (baseline.batch, cell.batch)
    if cell.pairing.of("baseline"):
        return speedup(cell.pairing, images)
    return unpaired(baseline.pairing, cell.pairing, images)


def over_other(baseline: Completed | None, other: Completed, cell: Completed) -> Speedup | Absent:
    """Return a cell's speedup over another one: from shared rounds, else through the baseline."""
    if not other.repeats or not cell.repeats:
        return NO_CALLS
    if baseline is other:
        return over_baseline(other, cell)
    if direct := compare_rounds(other, cell):
        return direct
    theirs, mine = over_baseline(baseline, other), over_baseline(baseline, cell)
    both_paired = all(made.pairing.of("baseline") for made in (other, cell))
    if isinstance(theirs, Absent) or isinstance(mine, Absent) or not both_paired:
        return unpaired(other.pairing, cell.pairing, (other.batch, cell.batch))
    return between(theirs, mine)
