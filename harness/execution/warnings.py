"""Warnings about a cell's timing and the machine's state, with figures and advice."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import ceil, floor, log, log10
from statistics import median
from typing import NamedTuple

from harness.core.matrix import Measure
from harness.core.outcome import Caution, MeasuredKind, measured_caution
from harness.core.timing import Block, Conditions, ForeignProcess, Pairing
from harness.core.units import Absent, format_bytes, format_percent, format_seconds
from harness.stats.latency_diagnostics import Drift, drift, modes, outliers
from harness.stats.speedup import MIN_ROUNDS_FOR_VERDICT, compute_precision
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
        begin, baseline = timed.steady[0].round_index, timed.pairing.of("baseline")
        cold, steady = ([b for b in baseline if (b.round_index < begin) == early] for early in (True, False))
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
    found = _find_drift(timed.steady, timed.measure)
    if found is None:
        return
    message = f"calls became {_change(found)} while they were timed"
    advice = f"{LOCK}, and let the machine cool or warm up before."
    if timed.pairing.kind == "interleaved":
        begin = timed.steady[0].round_index
        paired = _find_drift(tuple(b for b in timed.pairing.of("baseline") if b.round_index >= begin), timed.measure)
        if paired is None:
            message += ", the baseline's beside them did not: the speedup depends on when it is measured"
            advice = "Look for what grows from call to call: memory, a cache, heat; and measure longer (measure.max_s)."
        else:
            message += f", the baseline's beside them {_change(paired)}: the speedup is free of it, seconds are not"
    yield measured_caution("drift", message=message, advice=advice)


def _find_drift(blocks: tuple[Block, ...], measure: Measure) -> Drift | None:
    found = drift(middles_s(blocks), [median(latencies(block)) for block in blocks]) if blocks else None
    return found if found and abs(found.share) > measure.precision else None


def _imprecise(timed: Timed) -> Iterator[Caution]:
    measure, (half_width, samples) = timed.measure, compute_precision(timed.pairing)
    what = "the median time of a call" if timed.pairing.kind == "alone" else "the speedup"
    if samples < MIN_ROUNDS_FOR_VERDICT:
        unit = "ABBA group" if timed.pairing.kind == "interleaved" else "block"
        known = "" if half_width is None else f", known to ±{format_percent(half_width)}"
        message = f"{what} rests on {_counted(samples, unit)}{known}: too few to rely on that"
        longer = _round_up(timed.spent_s * MIN_ROUNDS_FOR_VERDICT / max(samples, 1))
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


DRIFT = 0.05
"""Clocks that differ by more of their median within a cell make its blocks unlike."""
BUSY = 0.10
"""Others' share of the processors above which they are felt."""
HOT_C = 83.0
"""Where NVIDIA's cards for desktops begin to slow down, and servers' are about to."""


def condition_cautions(blocks: Sequence[Block]) -> tuple[Caution, ...]:
    """Return warnings about what the machine did while these blocks, the cell's and the baseline's, were timed."""
    states = [block.conditions for block in blocks]
    found = (ask(states) for ask in (_slowed, _capped, _clock_drift, _hot, _processor_drift, _visited))
    return tuple(caution for caution in (*found, _busy(blocks)) if caution is not None)


def _slowed(states: list[Conditions]) -> Caution | None:
    hit = [state.slowed for state in states if state.slowed]
    if not hit:
        return None
    words = sorted({word for words in hit for word in words})
    message = f"the device was slowed down in {len(hit)} of {len(states)} blocks ({', '.join(words)}{_heat(states)})"
    advice = "Improve the cooling, or let the machine cool and run again"
    clock = min(_known(states, lambda state: state.clock_mhz), default=None)
    lock = f"; or lock a clock that it can hold: sudo nvidia-smi -lgc {clock:.0f} (undo: -rgc)" if clock else ""
    return measured_caution("throttled", message=message, advice=f"{advice}{lock}.")


def _capped(states: list[Conditions]) -> Caution | None:
    known = [state for state in states if not isinstance(state.throttle, Absent)]
    capped = [state for state in known if not isinstance(state.throttle, Absent) and "sw_power_cap" in state.throttle]
    if not capped:
        return None
    most = max(_known(capped, lambda state: state.power_w), default=None)
    drawn = "" if most is None else f", at up to {most:.0f} W"
    message = f"the GPU's clock was held down by its power limit in {len(capped)} of {len(known)} blocks{drawn}"
    advice = "Raise it if the card allows (sudo nvidia-smi -pl WATTS), or compare only with runs at the same limit."
    return measured_caution("power-capped", message=message, advice=advice)


def _clock_drift(states: list[Conditions]) -> Caution | None:
    return _drift(
        "clock-drift", "the GPU's clock", _known(states, lambda state: state.clock_mhz),
        "Lock it: sudo nvidia-smi -pm 1 and -lgc {low:.0f} (undo: -rgc).",
    )  # fmt: skip


def _processor_drift(states: list[Conditions]) -> Caution | None:
    return _drift(
        "cpu-clock-drift", "the processor's clock", _known(states, lambda state: state.cpu_mhz),
        "Hold it: sudo cpupower frequency-set -g performance, on mains power, boost off if it still wanders.",
    )  # fmt: skip


def _drift(kind: MeasuredKind, what: str, clocks: list[float], advice: str) -> Caution | None:
    if len(clocks) < 2:
        return None
    low, high = min(clocks), max(clocks)
    share = (high - low) / median(clocks)
    if share <= DRIFT:
        return None
    message = f"{what} moved between {low:.0f} and {high:.0f} MHz from block to block ({format_percent(share, 0)})"
    return measured_caution(kind, message=message, advice=advice.format(low=low))


def _hot(states: list[Conditions]) -> Caution | None:
    """Warn of heat before it slows the card; once it does, that is said instead."""
    highest = max(_known(states, lambda state: state.temperature_c), default=0.0)
    if highest < HOT_C or any(state.slowed for state in states):
        return None
    message = f"the GPU was at {highest:.0f} °C: a little more and it slows down"
    return measured_caution("hot", message=message, advice="Improve the cooling, or leave pauses between runs.")


def _busy(blocks: Sequence[Block]) -> Caution | None:
    """Warn of other programs; long blocks count for more, since a short one's load is counted in few clock ticks."""
    loads = [(load, _seconds(block)) for block in blocks if not isinstance(load := block.conditions.cpu_load, Absent)]
    spent_s = sum(seconds for _, seconds in loads)
    share = sum(load * seconds for load, seconds in loads) / spent_s if spent_s else 0.0
    if share <= BUSY:
        return None
    message = f"other programs kept {format_percent(share, 0)} of the processors busy"
    most = max(load for load, _ in loads)
    advice = "Close them (top shows which), or run when the machine is quiet."
    return measured_caution("busy", message=f"{message}, {format_percent(most, 0)} in the worst block", advice=advice)


def _visited(states: list[Conditions]) -> Caution | None:
    seen = {process.pid: process for process in _all_foreign_processes(states)}
    if not seen:
        return None
    hit = sum(bool(state.foreign_processes) and not isinstance(state.foreign_processes, Absent) for state in states)
    names = ", ".join(_words(process) for process in seen.values())
    message = f"other processes used the GPU in {hit} of {len(states)} blocks: {names}"
    return measured_caution(
        "foreign-processes", message=message, advice="End them (nvidia-smi shows them) and run again."
    )


def _all_foreign_processes(states: list[Conditions]) -> Iterator[ForeignProcess]:
    for state in states:
        if not isinstance(state.foreign_processes, Absent):
            yield from state.foreign_processes


def _words(process: ForeignProcess) -> str:
    held = "" if isinstance(process.used_bytes, Absent) else f" with {format_bytes(process.used_bytes)}"
    return f"{process.name} (pid {process.pid}){held}"


def _heat(states: list[Conditions]) -> str:
    highest = max(_known(states, lambda state: state.temperature_c), default=None)
    return "" if highest is None else f"; up to {highest:.0f} °C"


def _known(states: list[Conditions], figure: Callable[[Conditions], float | Absent]) -> list[float]:
    return [value for value in map(figure, states) if not isinstance(value, Absent)]


def _seconds(block: Block) -> float:
    return sum(repeat.latency_s for repeat in block.repeats)
