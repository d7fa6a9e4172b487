"""Warnings about a cell's timed calls and the machine's state, with figures and advice."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil, floor, log, log10
from statistics import median
from typing import NamedTuple

from harness.core.matrix import Measure
from harness.core.outcome import Caution, MeasuredKind, measured_caution
from harness.core.timing import Block, Conditions, ForeignProcess, Pairing
from harness.core.units import Absent, format_bytes, format_percent, format_seconds, plural
from harness.stats.latency_diagnostics import Drift, drift, modes, outliers
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, compute_precision
from harness.stats.steady_state import latencies, middles_s, steady_blocks

RARE = 0.01
"""A smaller share of outliers is normal on every machine."""
DRIFT = 0.05
"""A larger change of a clock within a cell, as a share of its median, makes blocks incomparable."""
BUSY = 0.10
"""A larger share of the processors used by other programs affects latencies."""
HOT_C = 83.0
"""The temperature at which NVIDIA's desktop cards begin to throttle."""
LOCK = (
    "Lock the clocks"
    " (GPU: sudo nvidia-smi -lgc MHZ; processors: sudo cpupower frequency-set -g performance)"
)


class Timed(NamedTuple):
    """A timed cell; `cold` are its first blocks, while it was still warming up."""

    pairing: Pairing
    warmup_s: tuple[float, ...]
    measure: Measure
    cold: tuple[Block, ...]
    steady: tuple[Block, ...]

    @property
    def calls_s(self) -> list[float]:
        """The seconds of each steady call."""
        return _calls(self.steady)

    @property
    def spent_s(self) -> float:
        """The seconds of all calls, at least measure.max_s: two long rounds may exceed it."""
        return max(self.measure.max_s, sum(_calls(self.pairing.blocks)))


def find_timing_warnings(
    pairing: Pairing, warmup_s: tuple[float, ...], measure: Measure
) -> tuple[Caution, ...]:
    """Return warnings about a cell's timed calls."""
    blocks = pairing.of("cell")
    if not blocks:
        return ()
    steady = steady_blocks(pairing)
    timed = Timed(pairing, warmup_s, measure, blocks[: len(blocks) - len(steady)], steady)
    rules = (_profiled, _first_call, _warming_up, _outliers, _two_speeds, _drifted, _imprecise)
    return tuple(caution for rule in rules for caution in rule(timed))


def _profiled(timed: Timed) -> Iterator[Caution]:
    if "NSYS_PROFILING_SESSION_ID" in os.environ:  # set by Nsight Systems for its child processes
        message = "timed under Nsight Systems, which slows every kernel launch"
        advice = "Do not use these latencies for sign-off: measure again without --nsys."
        yield measured_caution("profiled", message=message, advice=advice)


def _first_call(timed: Timed) -> Iterator[Caution]:
    if not timed.warmup_s:
        first, *rest = _calls((*timed.cold, *timed.steady))
        others = f", the others {format_seconds(median(rest))}" if rest else ""
        message = f"measure.warmup = 0: the first timed call took {format_seconds(first)}{others}"
        advice = "Set measure.warmup to 1 or more."
        yield measured_caution("first-call", message=message, advice=advice)


def _warming_up(timed: Timed) -> Iterator[Caution]:
    """Warn if the first blocks of a side were slower or faster than measure.precision allows."""
    if not timed.cold:
        return
    sides = {"": (_calls(timed.cold), timed.calls_s)}
    if timed.pairing.kind == "interleaved":
        begin, baseline = timed.steady[0].round_index, timed.pairing.of("baseline")
        cold, steady = (
            [b for b in baseline if (b.round_index < begin) == e] for e in (True, False)
        )
        sides["the baseline's "] = _calls(cold), _calls(steady)
    levels = {whose: tuple(map(median, calls)) for whose, calls in sides.items()}
    whose = max(levels, key=lambda side: abs(log(levels[side][0] / levels[side][1])))
    cold_s, steady_s = levels[whose]
    if abs(cold_s / steady_s - 1) <= timed.measure.precision:
        return
    blocks = "block was" if len(timed.cold) == 1 else f"{len(timed.cold)} blocks were"
    seconds = f"{format_seconds(cold_s)} per call, {format_seconds(steady_s)} after that"
    message = f"{whose or 'the '}first {blocks} not steady yet: {seconds}"
    advice = f"Set measure.warmup to {len(timed.warmup_s) + len(sides[whose][0])} or more."
    yield measured_caution("warming-up", message=message, advice=advice)


def _outliers(timed: Timed) -> Iterator[Caution]:
    calls = timed.calls_s
    far = [calls[place] for place in outliers(calls)]
    if len(far) > RARE * len(calls):
        usual = median(calls)
        worst = max(far, key=lambda seconds: abs(seconds - usual))
        count = f"{len(far)} of {plural(len(calls), 'call')}"
        seconds = f"up to {format_seconds(worst)}, usually {format_seconds(usual)}"
        advice = "Outliers are kept; medians are robust to them. Close other programs."
        yield measured_caution(
            "outliers", message=f"{count} are outliers: {seconds}", advice=advice
        )


def _two_speeds(timed: Timed) -> Iterator[Caution]:
    found = modes(timed.calls_s)
    if found and found.high / found.low - 1 > timed.measure.precision:
        low = f"{format_seconds(found.low)} ({format_percent(found.low_share, 0)} of them)"
        message = f"calls have two speeds: {low} and {format_seconds(found.high)}"
        message += "; the median is one of them by chance"
        advice = f"{LOCK}, or find out what changes in between."
        yield measured_caution("two-speeds", message=message, advice=advice)


def _drifted(timed: Timed) -> Iterator[Caution]:
    found = _find_drift(timed.steady, timed.measure)
    if found is None:
        return
    message = f"calls became {_change(found)} during the measurement"
    advice = f"{LOCK}, and let the machine cool or warm up before."
    if timed.pairing.kind == "interleaved":
        begin = timed.steady[0].round_index
        baseline = tuple(b for b in timed.pairing.of("baseline") if b.round_index >= begin)
        other = _find_drift(baseline, timed.measure)
        if other is None:
            message += ", the baseline's did not: the speedup depends on when it is measured"
            advice = (
                "Find out what grows from call to call, such as memory, a cache or heat;"
                " raise measure.max_s."
            )
        else:
            message += f", the baseline's {_change(other)}: the speedup is valid, latencies drift"
    yield measured_caution("drift", message=message, advice=advice)


def _find_drift(blocks: tuple[Block, ...], measure: Measure) -> Drift | None:
    if not blocks:
        return None
    found = drift(middles_s(blocks), [median(latencies(block)) for block in blocks])
    return found if found and abs(found.share) > measure.precision else None


def _imprecise(timed: Timed) -> Iterator[Caution]:
    measure, (half_width, samples) = timed.measure, compute_precision(timed.pairing)
    what = "the median latency" if timed.pairing.kind == "alone" else "the speedup"
    known = "" if half_width is None else f" is known only to ±{format_percent(half_width)}"
    if samples < MIN_ROUNDS_FOR_VERDICT:
        unit = "measurement round" if timed.pairing.kind == "interleaved" else "block"
        message = f"{what}{known or ' is not known'} after {plural(samples, unit)}"
        longer = _round_up(timed.spent_s * MIN_ROUNDS_FOR_VERDICT / max(samples, 1))
        advice = f"Raise measure.max_s to about {longer}, or use fewer steps or smaller images."
        yield measured_caution("few-rounds", message=message, advice=advice)
    elif half_width is not None and half_width > measure.precision:
        message = f"{what}{known}, requested is ±{format_percent(measure.precision)}"
        longer = _round_up(timed.spent_s * (half_width / measure.precision) ** 2)
        advice = (
            "Close other programs and lock the clocks, set measure.max_s to about"
            f" {longer}, or raise measure.precision."
        )
        yield measured_caution("not-precise", message=message, advice=advice)


def _calls(blocks: Iterable[Block]) -> list[float]:
    return [seconds for block in blocks for seconds in latencies(block)]


def _change(found: Drift) -> str:
    return f"{format_percent(abs(found.share), 0)} {'slower' if found.share > 0 else 'faster'}"


def _round_up(seconds: float) -> str:
    """Return seconds rounded up to two digits, as a matrix takes them."""
    scale = 10 ** max(floor(log10(seconds)) - 1, 0)
    return f"{ceil(seconds / scale) * scale:g}"


def find_condition_warnings(blocks: Sequence[Block]) -> tuple[Caution, ...]:
    """Return warnings about the machine's state during the blocks of a cell and the baseline."""
    states = [block.conditions for block in blocks]
    rules = (_slowed, _capped, _clock_drift, _hot, _processor_drift, _visited)
    found = (*(rule(states) for rule in rules), _busy(blocks))
    return tuple(caution for caution in found if caution is not None)


def _slowed(states: list[Conditions]) -> Caution | None:
    hit = [state.slowed for state in states if state.slowed]
    if not hit:
        return None
    reasons = ", ".join(sorted({reason for reasons in hit for reason in reasons}))
    highest = max(_known(states, lambda state: state.temperature_c), default=None)
    heat = "" if highest is None else f"; up to {highest:.0f} °C"
    count = f"in {len(hit)} of {len(states)} blocks"
    clock = min(_known(states, lambda state: state.clock_mhz), default=None)
    lock = (
        f"; or lock a lower clock: sudo nvidia-smi -lgc {clock:.0f} (undo: -rgc)" if clock else ""
    )
    return measured_caution(
        "throttled",
        message=f"the device was slowed down {count} ({reasons}{heat})",
        advice=f"Improve the cooling, or let the machine cool and run again{lock}.",
    )


def _capped(states: list[Conditions]) -> Caution | None:
    known = [(s, s.throttle) for s in states if not isinstance(s.throttle, Absent)]
    capped = [state for state, reasons in known if "sw_power_cap" in reasons]
    if not capped:
        return None
    most = max(_known(capped, lambda state: state.power_w), default=None)
    drawn = "" if most is None else f", at up to {most:.0f} W"
    count = f"in {len(capped)} of {len(known)} blocks"
    message = f"the power limit reduced the GPU's clock {count}{drawn}"
    advice = (
        "Raise the limit if the card allows (sudo nvidia-smi -pl WATTS), or compare only with runs"
        " at the same limit."
    )
    return measured_caution("power-capped", message=message, advice=advice)


def _clock_drift(states: list[Conditions]) -> Caution | None:
    clocks = _known(states, lambda state: state.clock_mhz)
    advice = "Lock it: sudo nvidia-smi -pm 1 and -lgc {low:.0f} (undo: -rgc)."
    return _drift("clock-drift", "the GPU's clock", clocks, advice)


def _processor_drift(states: list[Conditions]) -> Caution | None:
    clocks = _known(states, lambda state: state.cpu_mhz)
    advice = (
        "Fix it: sudo cpupower frequency-set -g performance, on mains power, with boost off if it"
        " still varies."
    )
    return _drift("cpu-clock-drift", "the processor's clock", clocks, advice)


def _drift(kind: MeasuredKind, what: str, clocks: list[float], advice: str) -> Caution | None:
    if len(clocks) < 2:
        return None
    low, high = min(clocks), max(clocks)
    share = (high - low) / median(clocks)
    if share <= DRIFT:
        return None
    span = f"between {low:.0f} and {high:.0f} MHz ({format_percent(share, 0)})"
    message = f"{what} varied {span} from block to block"
    return measured_caution(kind, message=message, advice=advice.format(low=low))


def _hot(states: list[Conditions]) -> Caution | None:
    """Warn of heat before the card throttles; later, the throttling itself is reported."""
    highest = max(_known(states, lambda state: state.temperature_c), default=0.0)
    if highest < HOT_C or any(state.slowed for state in states):
        return None
    message = f"the GPU was at {highest:.0f} °C, close to throttling"
    advice = "Improve the cooling, or leave pauses between runs."
    return measured_caution("hot", message=message, advice=advice)


def _busy(blocks: Sequence[Block]) -> Caution | None:
    """Warn of other programs; weighted by time, since a short block's load has few clock ticks."""
    loads = []
    for block in blocks:
        if not isinstance(load := block.conditions.cpu_load, Absent):
            loads.append((load, sum(repeat.latency_s for repeat in block.repeats)))
    spent_s = sum(seconds for _, seconds in loads)
    share = sum(load * seconds for load, seconds in loads) / spent_s if spent_s else 0.0
    if share <= BUSY:
        return None
    most = format_percent(max(load for load, _ in loads), 0)
    message = f"other programs used {format_percent(share, 0)} of the processors"
    advice = "Close them (top lists them), or run when the machine is quiet."
    return measured_caution("busy", message=f"{message}, {most} in the worst block", advice=advice)


def _visited(states: list[Conditions]) -> Caution | None:
    lists = [
        s.foreign_processes
        for s in states
        if not isinstance(s.foreign_processes, Absent) and s.foreign_processes
    ]
    seen = {process.pid: process for found in lists for process in found}
    if not seen:
        return None
    names = ", ".join(map(_describe, seen.values()))
    message = f"other processes used the GPU in {len(lists)} of {len(states)} blocks: {names}"
    advice = "End them (nvidia-smi lists them) and run again."
    return measured_caution("foreign-processes", message=message, advice=advice)


def _describe(process: ForeignProcess) -> str:
    used = process.used_bytes
    size = "" if isinstance(used, Absent) else f" with {format_bytes(used)}"
    return f"{process.name} (pid {process.pid}){size}"


def _known(states: list[Conditions], figure: Callable[[Conditions], float | Absent]) -> list[float]:
    return [value for value in map(figure, states) if not isinstance(value, Absent)]
