"""What the timed calls of a cell themselves warn of."""

import os
from collections.abc import Iterator
from statistics import median

from harness.core.matrix import Measure
from harness.core.outcome import Caution
from harness.core.timing import Pairing
from harness.core.units import format_seconds

STEADY = 0.2
"""Repeats that differ by more of their median than this are not steady."""


def timing_cautions(pairing: Pairing, warmup_s: tuple[float, ...], measure: Measure) -> tuple[Caution, ...]:
    """Return warnings about repeats that were timed cold, under a profiler, or that differ much."""
    repeats = (repeat for block in pairing.of("cell") for repeat in block.repeats)
    return (*_profiled(), *_cautions([repeat.latency_s for repeat in repeats], bool(warmup_s)))


def _profiled() -> Iterator[Caution]:
    if "NSYS_PROFILING_SESSION_ID" in os.environ:  # Nsight Systems sets it for all that it starts
        message = "timed under Nsight Systems, which slows every launch of a kernel: look at it, do not sign it"
        yield Caution(kind="profiled", message=message, advice="Measure it without --nsys.")


def _cautions(latencies: list[float], warmed_up: bool) -> Iterator[Caution]:
    if latencies and not warmed_up:
        first, *rest = latencies
        against = f", {format_seconds(median(rest))} the others" if rest else ""
        message = f"measure.warmup = 0: a first call was timed, which took {format_seconds(first)}{against}"
        yield Caution(kind="first-call", message=message, advice="Set measure.warmup to 1 or more.")
    middle = median(latencies) if len(latencies) > 2 else 0.0
    spread = (max(latencies) - min(latencies)) / middle if middle else 0.0
    if spread > STEADY:
        message = f"repeats differ by {spread * 100:.0f} % of their median"
        yield Caution(kind="unstable", message=message, advice="Close other programs, or raise measure.max_s.")
