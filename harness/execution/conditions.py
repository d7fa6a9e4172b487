"""What the machine's state during a cell's blocks warns of, with figures and the command that helps."""

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from harness.core.outcome import Caution, MeasuredKind, measured_caution
from harness.core.timing import Block, Conditions, Visitor
from harness.core.units import Absent, format_bytes, format_percent

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
    seen = {visitor.pid: visitor for visitor in _all_visitors(states)}
    if not seen:
        return None
    hit = sum(bool(state.visitors) and not isinstance(state.visitors, Absent) for state in states)
    names = ", ".join(_words(visitor) for visitor in seen.values())
    message = f"other processes used the GPU in {hit} of {len(states)} blocks: {names}"
    return measured_caution("visitors", message=message, advice="End them (nvidia-smi shows them) and run again.")


def _all_visitors(states: list[Conditions]) -> Iterator[Visitor]:
    for state in states:
        if not isinstance(state.visitors, Absent):
            yield from state.visitors


def _words(visitor: Visitor) -> str:
    held = "" if isinstance(visitor.used_bytes, Absent) else f" with {format_bytes(visitor.used_bytes)}"
    return f"{visitor.name} (pid {visitor.pid}){held}"


def _heat(states: list[Conditions]) -> str:
    highest = max(_known(states, lambda state: state.temperature_c), default=None)
    return "" if highest is None else f"; up to {highest:.0f} °C"


def _known(states: list[Conditions], figure: Callable[[Conditions], float | Absent]) -> list[float]:
    return [value for value in map(figure, states) if not isinstance(value, Absent)]


def _seconds(block: Block) -> float:
    return sum(repeat.latency_s for repeat in block.repeats)
