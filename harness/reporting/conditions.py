"""The state of the machine while a cell was timed: the range over its blocks, and what the machine does not tell."""

from collections import Counter
from collections.abc import Callable, Sequence

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.timing import UNKNOWN, Block
from harness.core.units import Absent
from harness.reporting.named import Named, not_measured
from harness.reporting.wording import plural, share_span, size, span

FIGURES: tuple[tuple[str, str, Callable[[float, float], str]], ...] = (
    ("clock_mhz", "GPU clock", lambda low, high: span(low, high, "MHz")),
    ("memory_clock_mhz", "GPU memory clock", lambda low, high: span(low, high, "MHz")),
    ("temperature_c", "GPU temperature", lambda low, high: span(low, high, "°C")),
    ("power_w", "GPU power", lambda low, high: span(low, high, "W")),
    ("cpu_mhz", "CPU clock", lambda low, high: span(low, high, "MHz")),
    ("cpu_load", "Load of other programs", share_span),
)
"""Figures that a block has one of: field, name, and how a range of them is written."""


class Meanwhile(Frozen):
    """What is known of the machine, and what it does not tell, with the reason."""

    rows: tuple[Named, ...]
    absent: tuple[Named, ...]


def summarize_conditions(cell: Completed) -> Meanwhile | None:
    """Return the machine's state over all of a cell's blocks and the baseline's between them; None if not noted."""
    blocks = tuple(block for block in cell.pairing.blocks if block.conditions != UNKNOWN)
    if not blocks:
        return None
    rows = [row for field, name, words in FIGURES if (row := _range(blocks, field, name, words))]
    rows += [row for row in (_throttled(blocks), _cores_slowed(blocks), _foreign_processes(blocks)) if row]
    first = blocks[0].conditions
    absent = [(name, getattr(first, field)) for field, name, _ in FIGURES]
    absent += [
        ("GPU throttling", first.throttle),
        ("other GPU processes", first.foreign_processes),
        ("CPU throttling", first.cpu_throttled),
        ("energy", first.energy_j),
    ]
    return Meanwhile(rows=tuple(rows), absent=not_measured(absent))


def slowed(block: Block) -> tuple[str, ...]:
    """Return why the device was slowed during a block, in words: `hw thermal slowdown`."""
    return tuple(reason.replace("_", " ") for reason in block.conditions.slowed)


def _range(blocks: Sequence[Block], field: str, name: str, words: Callable[[float, float], str]) -> Named | None:
    values = [value for block in blocks if not isinstance(value := getattr(block.conditions, field), Absent)]
    return Named(name=name, value=words(min(values), max(values))) if values else None


def _throttled(blocks: Sequence[Block]) -> Named | None:
    """Return in how many blocks the GPU did not run as fast as it could, a power limit counted, and why."""
    known = [block.conditions.throttle for block in blocks if not isinstance(block.conditions.throttle, Absent)]
    if not known:
        return None
    reasons = Counter(reason for throttle in known for reason in throttle)
    note = ", ".join(f"{reason.replace('_', ' ')} in {count}" for reason, count in reasons.most_common())
    hit = sum(bool(throttle) for throttle in known)
    return Named(name="GPU held back", value=f"{hit} of {plural(len(known), 'block')}" if hit else "never", note=note)


def _cores_slowed(blocks: Sequence[Block]) -> Named | None:
    counts = [count for block in blocks if not isinstance(count := block.conditions.cpu_throttled, Absent)]
    if not counts:
        return None
    return Named(name="Cores slowed for heat", value=plural(sum(counts), "time") if any(counts) else "never")


def _foreign_processes(blocks: Sequence[Block]) -> Named | None:
    known = [
        block.conditions.foreign_processes
        for block in blocks
        if not isinstance(block.conditions.foreign_processes, Absent)
    ]
    if not known:
        return None
    seen = {process.pid: process for foreign_processes in known for process in foreign_processes}
    names = ", ".join(f"{process.name} ({process.pid}, {size(process.used_bytes)})" for process in seen.values())
    return Named(name="Other GPU processes", value=names or "none")
