"""What the timed calls of a cell themselves warn of, each with its figures and what to do about it."""

import os
from collections.abc import Callable, Iterable, Iterator
from math import ceil, floor, log, log10
from statistics import median
from typing import NamedTuple

from harness.core.matrix import Measure
from harness.core.outcome import Caution, measured_caution
from harness.core.timing import Block, Pairing
from harness.core.units import format_percent, format_seconds
from harness.stats.latency_diagnostics import Drift, drift, modes, outliers
from harness.stats.speedup import LEAST_GROUPS, precision_of
from harness.stats.steady_state import latencies, middles_s, steady_blocks

RARE = 0.01
"""Outliers that are fewer calls than this share are not worth a word: every machine has them."""
LOCK = "Lock the clocks (GPU: sudo nvidia-smi -lgc MHZ; processors: sudo cpupower frequency-set -g performance)"


class Timed(NamedTuple):
    """A timed cell: `steady` are its blocks without those that were still warming up."""

    pairing: Pairing
    warmup_s: tuple[float, ...]
    measure: Measure
    cold: tuple[Block, ...]
    steady: tuple[Block, ...]

    @property
    def calls_s(self) -> list[float]:
        """The seconds of each call once it was warm."""
        return _calls(self.steady)

    @property
    def spent_s(self) -> float:
        """The seconds there were for calls of both sides: more than measure.max_s where two groups last longer."""
        return max(self.measure.max_s, sum(_calls(self.pairing.blocks)))


def timing_cautions(pairing: Pairing, warmup_s: tuple[float, ...], measure: Measure) -> tuple[Caution, ...]:
    """Return what to know about a cell's times: profiled or cold calls, outliers, two speeds, drift, imprecision."""
    blocks = pairing.of("cell")
    if not blocks:
        return ()
    steady = steady_blocks(pairing)  # all but some at the beginning
    timed = Timed(pairing, warmup_s, measure, blocks[: len(blocks) - len(steady)], steady)
    return (*_profiled(), *(caution for rule in _RULES for caution in rule(timed)))


def _profiled() -> Iterator[Caution]:
    if "NSYS_PROFILING_SESSION_ID" in os.environ:  # Nsight Systems sets it for all that it starts
        message = "timed under Nsight Systems, which slows every launch of a kernel: look at it, do not sign it"
        yield measured_caution("profiled", message=message, advice="Measure it without --nsys.")


def _first_call(timed: Timed) -> Iterator[Caution]:
    if not timed.warmup_s:
        first, *rest = _calls((*timed.cold, *timed.steady))
        against = f", {format_seconds(median(rest))} the others" if rest else ""
        message = f"measure.warmup = 0: a first call was timed, which took {format_seconds(first)}{against}"
        yield measured_caution("first-call", message=message, advice="Set measure.warmup to 1 or more.")


def _warming_up(timed: Timed) -> Iterator[Caution]:
    """Warn of the side whose level changed most, where that is more than the precision asked for."""
    if not timed.cold:
        return
    sides = {"": (_calls(timed.cold), timed.calls_s)}
    if timed.pairing.kind == "interleaved":
        begin, baseline = timed.steady[0].group, timed.pairing.of("baseline")
        cold, steady = ([b for b in baseline if (b.group < begin) == early] for early in (True, False))
        sides["the baseline's "] = _calls(cold), _calls(steady)
    whose, (before, after) = max(sides.items(), key=lambda side: abs(log(median(side[1][0]) / median(side[1][1]))))
    if abs(median(before) / median(after) - 1) <= timed.measure.precision:
        return
    blocks = "block was" if len(timed.cold) == 1 else f"{len(timed.cold)} blocks were"
    cold_s, steady_s = format_seconds(median(before)), format_seconds(median(after))
    message = f"{whose or 'the '}first {blocks} not steady yet: {cold_s} a call, {steady_s} after that"
    enough = len(timed.warmup_s) + len(before)
    yield measured_caution("warming-up", message=message, advice=f"Set measure.warmup to {enough} or more.")


def _outliers(timed: Timed) -> Iterator[Caution]:
    calls = timed.calls_s
    far = [calls[place] for place in outliers(calls)]
    if len(far) > RARE * len(calls):
        worst, usual = max(far, key=lambda seconds: abs(seconds - median(calls))), median(calls)
        message = (
            f"{len(far)} of {_counted(len(calls), 'call')} far from the rest: up to {format_seconds(worst)}, where"
            f" {format_seconds(usual)} is usual"
        )
        advice = "None is dropped and medians hardly heed them; for the 95th percentile's sake close other programs."
        yield measured_caution("outliers", message=message, advice=advice)


def _two_speeds(timed: Timed) -> Iterator[Caution]:
    found = modes(timed.calls_s)
    if found and found.high / found.low - 1 > timed.measure.precision:
        message = (
            f"calls have two speeds: {format_seconds(found.low)} ({format_percent(found.low_share, 0)} of them) and"
            f" {format_seconds(found.high)}; their median is one of both by chance"
        )
        yield measured_caution("two-speeds", message=message, advice=f"{LOCK}, or find out what changes in between.")


def _drifted(timed: Timed) -> Iterator[Caution]:
    found = _drift_of(timed.steady, timed.measure)
    if found is None:
        return
    message = f"calls became {_change(found)} while they were timed"
    advice = f"{LOCK}, and let the machine cool or warm up before."
    if timed.pairing.kind == "interleaved":
        begin = timed.steady[0].group
        beside = _drift_of(tuple(b for b in timed.pairing.of("baseline") if b.group >= begin), timed.measure)
        if beside is None:
            message += ", the baseline's beside them did not: the speedup depends on when it is measured"
            advice = "Look for what grows from call to call: memory, a cache, heat; and measure longer (measure.max_s)."
        else:
            message += f", the baseline's beside them {_change(beside)}: the speedup is free of it, seconds are not"
    yield measured_caution("drift", message=message, advice=advice)


def _drift_of(blocks: tuple[Block, ...], measure: Measure) -> Drift | None:
    found = drift(middles_s(blocks), [median(latencies(block)) for block in blocks]) if blocks else None
    return found if found and abs(found.share) > measure.precision else None


def _imprecise(timed: Timed) -> Iterator[Caution]:
    measure, (half_width, looks) = timed.measure, precision_of(timed.pairing)
    what = "the median time of a call" if timed.pairing.kind == "alone" else "the speedup"
    if looks < LEAST_GROUPS:
        unit = "ABBA group" if timed.pairing.kind == "interleaved" else "block"
        known = "" if half_width is None else f", known to ±{format_percent(half_width)}"
        message = f"{what} rests on {_counted(looks, unit)}{known}: too few to rely on that"
        longer = _round_up(timed.spent_s * LEAST_GROUPS / max(looks, 1))
        advice = f"Raise measure.max_s to about {longer}, or make fewer steps or smaller pictures."
        yield measured_caution("few-groups", message=message, advice=advice)
    elif half_width is not None and half_width > measure.precision:
        asked = format_percent(measure.precision)
        message = f"{what} is known to ±{format_percent(half_width)}, ±{asked} was asked for"
        longer = _round_up(timed.spent_s * (half_width / measure.precision) ** 2)
        advice = (
            f"Close other programs and lock the clocks, set measure.max_s to about {longer}, or ask for less"
            " (measure.precision)."
        )
        yield measured_caution("not-precise", message=message, advice=advice)


def _calls(blocks: Iterable[Block]) -> list[float]:
    return [seconds for block in blocks for seconds in latencies(block)]


def _change(found: Drift) -> str:
    return f"{format_percent(abs(found.share), 0)} {'slower' if found.share > 0 else 'faster'}"


def _round_up(seconds: float) -> str:
    """Return seconds with two digits, as a matrix takes them."""
    scale = 10 ** max(floor(log10(seconds)) - 1, 0)
    return f"{ceil(seconds / scale) * scale:g}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


_RULES: tuple[Callable[[Timed], Iterator[Caution]], ...] = (
    _first_call, _warming_up, _outliers, _two_speeds, _drifted, _imprecise,
)  # fmt: skip
