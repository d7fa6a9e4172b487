"""The sentences of a recommendation."""

from collections.abc import Callable

from harness.core.outcome import Completed, Peak
from harness.core.quality import Interval
from harness.core.units import Absent, format_bytes, format_seconds, plural
from harness.deployment.decision_table import Objective, SettingGlobs, Technique
from harness.deployment.figures import DecisionFigure
from harness.results import CellResult, Run
from harness.results.format import (
    bracket,
    format_money,
    format_rate,
    format_share,
    format_value,
)
from harness.results.losses import WorstLoss

Ends = tuple[float, float, float]
_DOUBTS = ("few-rounds", "not-precise", "two-speeds", "drift", "throttled", "profiled")
"""Kinds of warnings that make a time doubtful."""


NOT_UNDER_LOAD = "the rate is that of one device kept busy; queueing under load was not measured"


def write_figure(objective: Objective, figure: DecisionFigure, currency: str = "") -> str:
    """Return a figure with its interval and what it is."""
    ends: Ends = (figure.estimate, figure.low, figure.bound)
    if objective == "throughput":
        ends = (1 / figure.estimate, 1 / figure.bound, 1 / figure.low)
        return f"{_bracket(ends, figure, format_rate)} images/s"
    if objective == "memory":
        return f"{format_bytes(figure.estimate)} peak (one measurement)"
    if objective == "loss":
        return f"worst loss {_bracket(ends, figure, format_share)}"
    if objective == "cost":
        shown = _bracket(ends, figure, lambda value: format_money(1000 * value, currency))
        return f"{shown} per 1,000 images"
    return f"{_bracket(ends, figure, format_seconds)} per call"


def _bracket(ends: Ends, figure: DecisionFigure, write: Callable[[float], str]) -> str:
    middle, low, high = map(write, ends)
    return bracket(middle, low, high) if figure.has_interval else middle


def list_costs(cell: CellResult) -> tuple[str, ...]:
    """Return what choosing a cell costs: quality, memory, start, money, and doubts."""
    base = cell.run.baseline
    found = [
        f"passes by a waiver: {waiver}" for waiver in (cell.verdict.waivers if cell.verdict else ())
    ]
    found.append(_write_loss(cell))
    found.append(_write_memory(cell, base))
    found += _write_start(cell, base)
    if cell.priced is not None and not isinstance(cell.priced, Absent):
        found.append(f"{format_value(cell.priced, 'thousand')} per 1,000 images")
    timed = cell.timed
    warnings = timed.warnings if isinstance(timed, Completed) else ()
    found += [f"doubtful time: {w.message}" for w in warnings if w.kind in _DOUBTS]
    return tuple(found)


def _write_loss(cell: CellResult) -> str:
    if cell.is_baseline:
        return "no loss: it is the baseline"
    worst = cell.worst_loss
    if not isinstance(worst, WorstLoss):
        return f"loss unknown: {worst.absent}"
    return f"worst loss {format_value(worst.loss, 'share')} {worst.whole} ({worst.metric})"


def _write_memory(cell: CellResult, base: CellResult) -> str:
    mine, theirs = cell.peak_memory, base.peak_memory
    if isinstance(mine, Absent):
        return f"peak memory unknown: {mine.absent}"
    known = isinstance(theirs, Peak) and not cell.is_baseline and not cell.counter_difference
    against = f", baseline {format_bytes(theirs.count)}" if known else ""  # type: ignore[union-attr]
    return f"peak memory {format_bytes(mine.count)}{against}"


def _write_start(cell: CellResult, base: CellResult) -> list[str]:
    cold, theirs = cell.cold_start, base.cold_start
    if isinstance(cold, Absent):
        return []
    known = not isinstance(theirs, Absent) and not cell.is_baseline
    against = f", baseline {format_seconds(theirs.total_s)}" if known else ""  # type: ignore[union-attr]
    found = [f"cold start {format_seconds(cold.total_s)}{against}"]
    even = cell.break_even
    if isinstance(even, Absent) or not even.is_notable:
        return found
    build = "" if isinstance(cell.build_cost_s, Absent) else format_seconds(cell.build_cost_s)
    won = (
        f"never won back: it is not faster than {even.against}"
        if isinstance(even.images, Absent)
        else f"won back after {plural(even.images, 'image')} against {even.against}"
    )
    return [*found, f"building takes {build}, {won}"]


def write_versus(ratio: Interval | Absent, other: str) -> str:
    """Return how a cell's time compares with another cell's."""
    if isinstance(ratio, Absent):
        return f"not comparable with {other}: {ratio.absent}"
    shown = format_value(ratio, "factor")
    if ratio.low > 1:
        return f"{shown} the speed of {other}"
    if ratio.high < 1:
        return f"slower than {other}: {shown} its speed"
    return f"{shown} the speed of {other}: not distinguished"


def list_unmeasured(run: Run, techniques: tuple[Technique, ...]) -> tuple[str, ...]:
    """Return each technique that matters and has no measured cell, with the reason."""
    found = []
    for technique in techniques:
        cells = [cell for cell in run.candidates if technique.fits(cell)]
        if any(cell.samples for cell in (*cells, run.baseline) if technique.fits(cell)):
            continue
        reasons = dict.fromkeys(f"{cell.standing}: {cell.reason}" for cell in cells)
        why_not = "; ".join(reasons) or "not in this run"
        found.append(f"{technique.axis} {technique.names} ({technique.why}): {why_not}")
    return tuple(found)


def write_unmet(name: str, value: str, limit: str, excess: float, is_rate: bool = False) -> str:
    """Return by how much a limit is missed: `latency up to 612 ms, 22 % above 500 ms`."""
    ends, side = ("as little as", "below") if is_rate else ("up to", "above")
    return f"{name} {ends} {value}, {format_share(excess)} {side} {limit}"


def write_evidence(cell: CellResult, other: CellResult, ratio: Interval | Absent) -> str:
    """Return what a pair of cells shows about an ingredient of the default."""
    verdict = "" if cell.is_baseline else f", verdict {cell.standing}"
    if isinstance(ratio, Absent):
        return f"{cell.id} against {other.id}: {ratio.absent}{verdict}"
    return f"{cell.id} against {other.id}: {format_value(ratio, 'factor')} the speed{verdict}"


def write_axis(globs: SettingGlobs) -> str:
    """Return an axis with its values: `compiler = inductor`."""
    return f"{globs.axis} = {globs.names}"
