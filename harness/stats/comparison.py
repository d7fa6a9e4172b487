"""The speedup of measured cells, from whatever way they were timed in."""

from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.stats.speedup import Speedup, between, speedup, unpaired

NO_BASELINE = Absent(absent="the baseline did not complete")
NO_CALLS = Absent(absent="no timed calls")


def over_baseline(baseline: Completed | None, cell: Completed) -> Speedup | Absent:
    """Return a cell's speedup over the baseline: from the baseline's blocks beside its own, where it has them.

    A cell that was timed alone is held against the baseline's own blocks, and the method says `unpaired`.
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
    """Return a cell's speedup over another one: by way of the baseline, where both were timed beside it."""
    if not other.repeats or not cell.repeats:
        return NO_CALLS
    if baseline is other:
        return over_baseline(other, cell)
    theirs, mine = over_baseline(baseline, other), over_baseline(baseline, cell)
    beside = all(made.pairing.of("baseline") for made in (other, cell))
    if isinstance(theirs, Absent) or isinstance(mine, Absent) or not beside:
        return unpaired(other.pairing, cell.pairing, (other.batch, cell.batch))
    return between(theirs, mine)
