"""The large figures under the headline: the named cell next to the baseline."""

from harness.core.base import Frozen
from harness.core.units import Absent
from harness.reporting.energy import baseline_cost_beside, cost_of, priced
from harness.reporting.facts import Facts, Timing
from harness.reporting.held import WorstLoss
from harness.reporting.loaded import Loaded
from harness.reporting.paired import baseline_beside_s
from harness.reporting.wording import factor, money, seconds, share


class KeyFigure(Frozen):
    """One large figure under the headline: what it is, its value, and a line that explains it."""

    name: str
    value: str
    note: str


def key_figures(loaded: Loaded, best: Facts, baseline: Facts) -> tuple[KeyFigure, ...]:
    """Return the figures of the best cell next to the baseline's."""
    figures = [
        _speedup(best),
        _pace(loaded, best, baseline),
        _loss(best),
        _cost(loaded, best, baseline),
        _cold(best, baseline),
    ]
    return tuple(figure for figure in figures if figure is not None)


def _speedup(best: Facts) -> KeyFigure | None:
    if isinstance(best.timing, Absent) or isinstance(best.timing.speedup, Absent):
        return None
    found = best.timing.speedup
    note = f"95 % interval {factor(found.low)} to {factor(found.high)}"
    return KeyFigure(name="Speedup", value=factor(found.estimate), note=note)


def _pace(loaded: Loaded, best: Facts, baseline: Facts) -> KeyFigure | None:
    if isinstance(best.timing, Absent):
        return None
    beside = baseline_beside_s(loaded, best.id)
    was = seconds(baseline.timing.image_s.estimate) if isinstance(baseline.timing, Timing) else "unknown"
    note = f"baseline {was}" if beside is None else f"baseline beside it {seconds(beside)}"
    return KeyFigure(name="Seconds per image", value=seconds(best.timing.image_s.estimate), note=note)


def _loss(best: Facts) -> KeyFigure | None:
    if not isinstance(best.worst, WorstLoss):
        return None
    found = best.worst.loss
    note = f"95 % interval {share(found.low)} to {share(found.high)}"
    return KeyFigure(name=f"Worst loss, {best.worst.metric}", value=share(found.estimate), note=note)


def _cost(loaded: Loaded, best: Facts, baseline: Facts) -> KeyFigure | None:
    cost, beside = cost_of(loaded, best), baseline_cost_beside(loaded, best.id)
    if not priced(loaded) or isinstance(cost, Absent):
        return None
    paired = not isinstance(beside, Absent)
    was = beside if paired else cost_of(loaded, baseline)
    note = "unknown" if isinstance(was, Absent) else money(1000 * was.amount, was.currency)
    note = f"baseline {'beside it ' if paired else ''}{note}"
    return KeyFigure(name="Cost of 1,000 images", value=money(1000 * cost.amount, cost.currency), note=note)


def _cold(best: Facts, baseline: Facts) -> KeyFigure | None:
    if isinstance(best.timing, Absent) or isinstance(baseline.timing, Absent):
        return None
    cold, was = (timing.cold.total_s for timing in (best.timing, baseline.timing))
    return KeyFigure(name="Cold start", value=seconds(cold), note=f"baseline {seconds(was)}")
