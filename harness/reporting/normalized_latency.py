"""Seconds per image of all cells on one clock, so that what drifted between their minutes puts none of them ahead."""

from typing import NamedTuple

from harness.core.outcome import Completed
from harness.core.quality import Interval, Uncertainty
from harness.core.units import Absent


class NormalizedLatency(NamedTuple):
    """Seconds per image with their interval, and their confidence distribution."""

    image_s: Interval
    spread: Uncertainty


def normalize_latency(baseline: Completed | None, cell: Completed) -> NormalizedLatency:
    """Return the baseline's median seconds per image ÷ a timed cell's speedup beside it; of no pair, its own median.

    The baseline's own is taken as certain: all cells are measured in it, so that its error moves all of them alike.
    """
    from harness.stats.confidence import exactly, interval, transform
    from harness.stats.latency import cell_latency, image_s
    from harness.stats.speedup import over_baseline

    found = None if cell is baseline else over_baseline(baseline, cell)
    if found is None or isinstance(found, Absent) or not cell.pairing.of("baseline"):
        own = cell_latency(cell.pairing)
        mine, spread = own.median_s.estimate / cell.batch, own.spread
        if cell is baseline or isinstance(spread, Absent):
            shares = {name: getattr(own.median_s, name) / cell.batch for name in ("estimate", "low", "high")}
            return NormalizedLatency(own.median_s.model_copy(update=shares), exactly(mine))
        spread = transform(spread, lambda call_s: call_s / cell.batch)
        return NormalizedLatency(interval(spread, mine, own.median_s.method), spread)
    assert baseline is not None
    base_s = image_s(baseline.pairing, baseline.batch)
    assert base_s is not None
    mine = base_s / found.estimate
    spread = exactly(mine) if isinstance(found.spread, Absent) else transform(found.spread, lambda by: base_s / by)
    return NormalizedLatency(interval(spread, mine, "the baseline's median ÷ the speedup"), spread)
