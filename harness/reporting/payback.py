"""What building and compiling a cell's settings cost, and whether it pays, in words."""

from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.reporting.facts import Facts, Timing
from harness.reporting.loaded import Loaded
from harness.reporting.named import Named
from harness.reporting.wording import DASH, grouped, plural, seconds


def payback_figures(loaded: Loaded, facts: Facts) -> tuple[Named, ...]:
    """Return what building cost apart from the run time, and from how many images on that is won back."""
    cell, timing = loaded.completed(facts.id), facts.timing
    if cell is None or not isinstance(timing, Timing):
        return ()
    cost = Named(name="Build and compile", value=seconds(timing.build_cost_s), note=_cost_note(cell))
    if facts.standing == "baseline":
        return (cost,)
    images = timing.break_even_images
    value = DASH if isinstance(images, Absent) else grouped(images)
    return (cost, Named(name="Break-even images", value=value, note=payback_words(timing)))


def payback_words(timing: Timing) -> str:
    """Say whether and when a cell has won back what it costs more than the baseline before its first image."""
    images, speedup = timing.break_even_images, timing.speedup
    if isinstance(images, Absent):
        slower = not isinstance(speedup, Absent) and speedup.high < 1
        return "never, it is slower than the baseline" if slower else images.absent
    words = f"pays after {plural(images, 'image')}" if images else "pays from the first image"
    if isinstance(speedup, Absent) or speedup.low > 1:
        return words
    return f"{words}, if it is faster at all: its speedup is not sure"


def telling(timing: Timing, baseline: Timing) -> bool:
    """Whether building costs enough to matter: more than the baseline's and the time of one of its images."""
    return timing.build_cost_s - baseline.build_cost_s > baseline.image_s.estimate


def _cost_note(cell: Completed) -> str:
    """Return the parts of the cost and the state of the caches it was measured with, where that is known."""
    cold = cell.cold_start
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
