"""What a run says of a cell besides pictures and latencies: memory, energy, money, and what its timing is worth."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from harness.core.energy import image_energy_j
from harness.core.outcome import Completed
from harness.core.plan import Plan
from harness.core.prices import Cost, image_cost
from harness.core.rule import Quantity
from harness.core.units import Absent
from harness.gating.readings import Number, Once, Reading
from harness.gating.timed import counted, of_latency
from harness.stats.speedup import LEAST_GROUPS, precision_of
from harness.stats.steady_state import steady_blocks

GIB = 2**30


class Measured(NamedTuple):
    """A completed cell with the plan it was measured by, and the baseline where that completed."""

    cell_id: str
    cell: Completed
    plan: Plan
    baseline: Completed | None


def _cold_start(of: Measured) -> Reading | Absent:
    cold = of.cell.cold_start
    return cold if isinstance(cold, Absent) else Number(cold.total_s)


def _peak_memory(of: Measured) -> Reading | Absent:
    """By the counter that told the baseline's too: what only torch counted would keep a limit more easily."""
    peak = of.cell.memory.peak()
    if isinstance(peak, Absent):
        return peak
    beside = of.baseline.memory.peak() if of.baseline else peak
    if not isinstance(beside, Absent) and beside.counter != peak.counter:
        return Absent(absent=f"what is known is {peak.counter}, of the baseline {beside.counter}")
    return Number(peak.count / GIB, what=peak.counter)


def _energy_j(cell: Completed) -> float | Absent:
    return image_energy_j(steady_blocks(cell.pairing), cell.batch)


def _energy(of: Measured) -> Reading | Absent:
    energy = _energy_j(of.cell)
    return energy if isinstance(energy, Absent) else Number(energy)


def _cost(of: Measured) -> Reading | Absent:
    """The cost of the median call; its energy is the mean of all, for counters are too coarse for one call."""
    energy = _energy_j(of.cell)

    def cost(call_s: float) -> Cost | Absent:
        return image_cost(of.plan.matrix.prices, of.plan.machine, call_s / of.cell.batch, energy)

    absent = cost(1.0)
    return (
        absent
        if isinstance(absent, Absent)
        else of_latency(of.cell, lambda call_s: _amount(cost(call_s)))
    )


def _amount(cost: Cost | Absent) -> float:
    assert isinstance(cost, Cost)  # whether there is a price does not depend on the seconds
    return cost.amount


def _timing_precision(of: Measured) -> Reading | Absent:
    """Few groups are narrow by chance: their width is told, and settles nothing."""
    half_width, looks = precision_of(of.cell.pairing)
    if half_width is None:
        return Absent(
            absent="too few blocks were timed to say how precise they are: raise measure.max_s"
        )
    if looks < LEAST_GROUPS:
        return Once(
            half_width,
            counted(looks, "ABBA group" if of.cell.pairing.kind == "interleaved" else "block"),
        )
    return Number(half_width)


def _throttled_share(of: Measured) -> Reading | Absent:
    """Blocks slowed for heat or by a failing supply; those that tell of neither GPU nor processors are left out."""
    counted = [
        block.conditions for side in ("baseline", "cell") for block in of.cell.pairing.of(side)
    ]
    told = [
        had
        for had in counted
        if not (isinstance(had.throttle, Absent) and isinstance(had.cpu_throttled, Absent))
    ]
    if told:
        return Number(sum(bool(had.slowed) for had in told) / len(told))
    signs = (sign for had in counted for sign in (had.throttle, had.cpu_throttled))
    reasons = dict.fromkeys(sign.absent for sign in signs if isinstance(sign, Absent))
    return Absent(absent="; ".join(reasons) or "no timed calls")


def _traced_steps(of: Measured) -> Reading | Absent:
    trace = of.cell.trace
    if isinstance(trace, Absent):
        return Absent(
            absent=f"{trace.absent}; take one with harness profile {of.plan.run_id} {of.cell_id}"
        )
    return Number(trace.steps)


MEASURED: Mapping[Quantity, Callable[[Measured], Reading | Absent]] = {
    "cold-start-s": _cold_start,
    "peak-memory-gib": _peak_memory,
    "energy-j": _energy,
    "image-cost": _cost,
    "timing-precision": _timing_precision,
    "throttled-share": _throttled_share,
    "traced-steps": _traced_steps,
}
