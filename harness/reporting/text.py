"""The sentences and words of the report that are not in its templates."""

import math
from collections.abc import Mapping

from harness.core.quality import Interval
from harness.core.trace import Family
from harness.core.units import Absent, format_seconds, plural
from harness.core.verdict import RuleVerdict
from harness.results import CellResult, Standing
from harness.results.format import (
    format_count,
    format_factor,
    format_half_width,
    format_margin,
    format_share,
    format_value,
)
from harness.results.losses import WorstLoss
from harness.results.pareto import LossAxis
from harness.results.timing import BreakEven

STANDINGS: dict[Standing, str] = {
    "baseline": "baseline",
    "pass": "pass",
    "fail": "fail",
    "inconclusive": "inconclusive",
    "missing": "figure missing",
    "unjudged": "not judged",
    "skipped": "skipped",
    "failed": "did not run",
    "pending": "not run yet",
}
UNPROFILED = "unprofiled: no trace says why it is fast"
DOUBTS = {
    "two-speeds": "two speeds", "drift": "drifts", "not-precise": "imprecise",
    "few-rounds": "few rounds", "throttled": "throttled", "profiled": "timed under a profiler",
}  # fmt: skip
"""Kinds of cautions that make a time doubtful, in two words."""
DOUBT_TITLES = {
    "two-speeds": "Two speeds", "drift": "Drift", "not-precise": "Imprecise speedup",
    "few-rounds": "Imprecise speedup", "throttled": "Throttled",
    "profiled": "Timed under a profiler",
}  # fmt: skip
QUESTIONS = {
    "content": "images show what their prompts ask for",
    "fidelity": "images are as sharp and clean as the baseline's",
    "variety": "images are as varied as the baseline's",
}
WORST_TITLES = {
    "correctness": "Wrong, where the baseline is right",
    "prompt-wise": "Least like the baseline's image of the same prompt at another seed",
    "alignment": "Fit their prompt less than the baseline's image",
    "paired": "Changed most from the baseline's image",
}
PAIRINGS = {
    "interleaved": "interleaved with the baseline in measurement rounds of live processes",
    "sandwiched": "between two blocks of the baseline",
    "alone": "alone",
}
PHASES = (
    ("Start and load", "processes, weights, settings", ("start", "load", "apply")),
    ("Compile", "first calls of compilers", ("compile",)),
    ("Warm-up", "calls that do not count", ("warmup",)),
    ("Baseline worker", "the baseline’s process alongside the cells", ("baseline_worker",)),
    ("Measuring", "blocks of the cells and of the baseline between them", ("repeats",)),
    ("Memory", "one call in a separate pass", ("memory",)),
    ("Images", "the images that are scored", ("images",)),
    ("Traces", "profiler passes", ("trace",)),
    ("Roofline", "operations counted, matrix products timed", ("roofline",)),
    ("Saving", "writing images and samples", ("save",)),
)
"""Uses of a run's wall time: name, note, and the recorded phases they sum."""
KERNEL_FAMILIES: dict[Family, str] = {
    "gemm": "matrix products",
    "attention": "attention",
    "convolution": "convolution",
    "norm": "norm",
    "elementwise": "elementwise",
    "copy": "copy",
    "other": "other",
}
MACHINE_STATE = {
    "clock_mhz": ("GPU clock", "MHz"),
    "memory_clock_mhz": ("GPU memory clock", "MHz"),
    "temperature_c": ("GPU temperature", "°C"),
    "power_w": ("GPU power", "W"),
    "cpu_mhz": ("CPU clock", "MHz"),
    "cpu_load": ("Load of other programs", "%"),
}
"""Figures of the machine's state: field, name and unit; shares are shown in percent."""
MEMORY_PEAKS = {
    "allocated_bytes": ("Peak allocated", "tensors"),
    "reserved_bytes": ("Peak reserved", "by torch's allocator"),
    "device_used_bytes": ("Device used", "by this process, as the driver counts it"),
    "resident_bytes": ("Peak resident", "of the process"),
}


def name_loss_axis(axis: LossAxis) -> str:
    """Return the title of the chart's axis of losses."""
    against = "as a share of its margin" if axis.relative else "against the baseline"
    return f"worst loss{',' if axis.relative else ''} {against}"


def profile_command(cell: CellResult) -> str:
    """Return the command that traces one cell of a finished run."""
    return f"harness profile {cell.run.folder.name} {cell.id}"


def write_worst_loss(worst: WorstLoss) -> str:
    """Return a worst loss with its interval, what it is a share of, and its metric."""
    return f"{format_value(worst.loss, 'share')} {worst.whole} ({worst.metric})"


def write_speed(cell: CellResult) -> str:
    """Return how a cell's speed compares with the baseline's."""
    speedup = cell.speedup
    if isinstance(speedup, Interval):
        ratio = format_factor(speedup.estimate)
        return f"{ratio} faster" if speedup.estimate >= 1.005 else f"{ratio} the baseline's speed"
    seconds = cell.image_s
    return "" if isinstance(seconds, Absent) else f"{format_seconds(seconds.estimate)} per image"


def write_break_even(found: BreakEven, baseline_id: str) -> str:
    """Return whether and when a cell has won back what building it costs more than another."""
    other = "the baseline" if found.against == baseline_id else "eager"
    low, high = 0.0, math.inf
    if isinstance(found.speedup, Interval):
        low, high = found.speedup.low, found.speedup.high
    if isinstance(found.images, Absent):
        return f"never pays: it is {'slower' if high < 1 else 'not faster'} than {other}"
    images = plural(found.images, "image")
    words = (
        f"{f'pays after {images}' if found.images else 'pays from the first image'} against {other}"
    )
    return words if low > 1 else f"{words}, if it is faster at all (uncertain)"


def write_cache(figures: Mapping[str, float | int | str]) -> str:
    """Return the state of the cache something was built from; empty for what is not built."""
    if not {"build_s", "compile_s"} & figures.keys() or "cache_hits" not in figures:
        return ""
    if not figures["cache_hits"]:
        return "cold cache"
    if figures.get("cache_misses"):
        return "partly warm cache"
    if "build_s" in figures:
        return (
            f"warm cache: {format_seconds(float(figures['build_s']))} of an earlier build counted"
        )
    return "warm cache: a cold one takes longer"


def name_rule(judged: RuleVerdict) -> str:
    """Return what a rule judged: `fid:bundled`, `change of fid:mlperf`, `speedup`."""
    quantity = judged.rule.quantity
    if quantity == "loss":
        return judged.metric
    return f"{quantity} of {judged.metric}" if judged.metric else quantity


def write_needs(needs: Mapping[str, int]) -> str:
    """Return what is open with the prompts that would decide it."""
    return ", ".join(f"{name} {format_count(need)}" for name, need in needs.items())


def write_timing(cell: CellResult) -> str:
    """Return how a cell was timed and how precisely: `Interleaved …: ±1.8 % (2 % requested)`."""
    assert cell.samples is not None
    pairing, own = cell.samples.pairing, cell.samples.pairing.of("cell")
    calls = plural(sum(len(block.repeats) for block in own), "call")
    blocks = plural(len(own), "block")
    if pairing.kind == "interleaved":
        rounds = plural(len({block.round_index for block in own}), "measurement round")
        how = f"Interleaved with the baseline in {rounds}, {calls} of the cell"
    elif pairing.kind == "sandwiched":
        how = f"Timed between two blocks of the baseline, {calls} of the cell in {blocks}"
    else:
        how = f"Timed alone, {calls} in {blocks}"
    requested = f"{format_margin(cell.run.plan.matrix.measure.precision)} requested"
    reached = cell.precision
    known = "precision unknown" if reached is None else format_half_width(reached)
    return f"{how}: {known} ({requested})"


def write_drift(share: float) -> str:
    """Return how the baseline's time drifted around a sandwiched cell."""
    drift = f"{'+' if share > 0 else ''}{format_share(share)}"
    return f"The baseline drifted by {drift} from before to after; the speedup is corrected."


def write_self_check(value: Interval, rounds: int) -> str:
    """Return the result of the A/A check: the baseline timed against itself."""
    words = (
        f"The baseline against itself: {value.estimate:.3f}× [{value.low:.3f}, {value.high:.3f}]"
    )
    if value.low <= 1.0 <= value.high:
        return f"{words} in {rounds} rounds: contains 1.00, as it must."
    off = format_half_width(abs(value.estimate - 1)).lstrip("±")
    return (
        f"{words} does not contain 1.00: two equal processes differ by {off} here, so speedups of"
        " that size are not reliable. One run in twenty shows this by chance. If the next one does"
        " too, close other programs and lock the clocks."
    )
