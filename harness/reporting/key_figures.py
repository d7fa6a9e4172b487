"""The large figures under the headline: the named cell next to the baseline."""

from harness.core.base import Frozen
from harness.core.units import Absent
from harness.reporting.energy import compute_cost, paired_baseline_cost, priced
from harness.reporting.facts import Facts, Timing
from harness.reporting.gated_losses import WorstLoss
from harness.reporting.loaded import LoadedRun
from harness.reporting.paired import paired_baseline_s
from harness.reporting.wording import factor, money, seconds, share


class KeyFigure(Frozen):
    """One large figure under the headline: what it is, its value, and a line that explains it."""

    name: str
    value: str
    note: str


def key_figures(loaded: LoadedRun, best: Facts, baseline: Facts) -> tuple[KeyFigure, ...]:
    """Return the figures of the best cell next to the baseline's."""
    figures = [
        _speedup(best),
        _normalized_latency(loaded, best, baseline),
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


def _normalized_latency(loaded: LoadedRun, best: Facts, baseline: Facts) -> KeyFigure | None:
    if isinstance(best.timing, Absent):
        return None
    paired_baseline = paired_baseline_s(loaded, best.id)
    was = seconds(baseline.timing.image_s.estimate) if isinstance(baseline.timing, Timing) else "unknown"
    note = f"baseline {was}" if paired_baseline is None else f"baseline beside it {seconds(paired_baseline)}"
    return KeyFigure(name="Seconds per image", value=seconds(best.timing.image_s.estimate), note=note)


def _loss(best: Facts) -> KeyFigure | None:
    if not isinstance(best.worst, WorstLoss):
        return None
    found = best.worst.loss
    note = f"95 % interval {share(found.low)} to {share(found.high)}"
    return KeyFigure(name=f"Worst loss, {best.worst.metric}", value=share(found.estimate), note=note)


def _cost(loaded: LoadedRun, best: Facts, baseline: Facts) -> KeyFigure | None:
    cost, paired_baseline = compute_cost(loaded, best), paired_baseline_cost(loaded, best.id)
    if not priced(loaded) or isinstance(cost, Absent):
        return None
    paired = not isinstance(paired_baseline, Absent)
    was = paired_baseline if paired else compute_cost(loaded, baseline)
    note = "unknown" if isinstance(was, Absent) else money(1000 * was.amount, was.currency)
    note = f"baseline {'paired_baseline it ' if paired else ''}{note}"
    return KeyFigure(name="Cost of 1,000 images", value=money(1000 * cost.amount, cost.currency), note=note)


def _cold(best: Facts, baseline: Facts) -> KeyFigure | None:
    if isinstance(best.timing, Absent) or isinstance(baseline.timing, Absent):
        return None
    cold, was = (timing.cold.total_s for timing in (best.timing, baseline.timing))
    return KeyFigure(name="Cold start", value=seconds(cold), note=f"baseline {seconds(was)}")
