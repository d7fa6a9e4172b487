"""What building and compiling a cell's settings cost, and whether it pays, in words."""

import math

from harness.core.outcome import ColdStart, Completed
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import LoadedRun
from harness.reporting.named import Named
from harness.reporting.timing import Payback
from harness.reporting.wording import DASH, grouped, plural, seconds


def payback_figures(loaded: LoadedRun, facts: Facts) -> tuple[Named, ...]:
    """Return what building cost apart from the run time, and from how many images on that is won back."""
    cell, timing = loaded.completed(facts.id), facts.timing
    if cell is None or not isinstance(timing, Timing):
        return ()
    cost = Named(name="Build and compile", value=seconds(timing.build_cost_s), note=_cost_note(cell))
    if facts.standing == "baseline":
        return (cost,)
    made = timing.payback
    if isinstance(made, Absent):
        return (cost, Named(name="Break-even images", value=DASH, note=made.absent))
    value = DASH if isinstance(made.images, Absent) else grouped(made.images)
    words = payback_words(made, loaded.plan.baseline_id)
    if made.against != loaded.plan.baseline_id:
        words += f": cell {made.against}"
    return (cost, Named(name="Break-even images", value=value, note=words))


def payback_words(made: Payback, baseline_id: str) -> str:
    """Say whether and when a cell has won back what it costs more, before its first image, than another."""
    other = "the baseline" if made.against == baseline_id else "eager"
    images, speedup = made.images, made.speedup
    low, high = (speedup.low, speedup.high) if isinstance(speedup, Interval) else (0.0, math.inf)
    if isinstance(images, Absent):
        return f"never pays, it is {'slower' if high < 1 else 'not faster'} than {other}"
    when = f"pays after {plural(images, 'image')}" if images else "pays from the first image"
    words = f"{when} against {other}"
    return words if low > 1 else f"{words}, if it is faster at all: that is not sure"


def _cost_note(cell: Completed) -> str:
    """Return the parts of the cost and the state of the caches it was measured with, where that is known."""
    cold = cell.cold_start
    assert isinstance(cold, ColdStart)  # only of cells that were timed in this run
    parts = [f"settings {seconds(cold.apply_s)}"]
    if cold.compile_s:
        parts.append(f"compiling {seconds(cold.compile_s)}")
    caches = (cache_words(did.figures) for did in cell.applied)
    return ", ".join((*parts, *(words for words in caches if words)))


def cache_words(figures: dict[str, float | int | str]) -> str:
    """Say from which cache something built came; an empty string for what is not built."""
    if not {"build_s", "compile_s"} & figures.keys() or "cache_hits" not in figures:
        return ""
    if not figures["cache_hits"]:
        return "cold cache"
    if figures.get("cache_misses"):
        return "partly warm cache"
    if "build_s" in figures:
        return f"warm cache: built in {seconds(float(figures['build_s']))} before, counted here"
    return "warm cache: a cold one takes longer"
