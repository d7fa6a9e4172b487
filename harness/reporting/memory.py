"""A cell's memory as a page shows it: weights by component, and the peaks of one call, to one scale."""

from harness.core.base import Frozen
from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.reporting.named import Named, not_measured
from harness.reporting.wording import size

_PEAKS = {
    "allocated_bytes": ("Peak allocated", "tensors"),
    "reserved_bytes": ("Peak reserved", "by torch's allocator"),
    "device_used_bytes": ("Device used", "by this process, as the driver counts it"),
    "resident_bytes": ("Peak resident", "of the process"),
}


class MemoryPiece(Frozen):
    """A piece of a bar: its share of the scale in percent, a number that picks its colour, and its words."""

    share: float
    colour: int
    text: str


class MemoryBar(Frozen):
    """One amount of memory, in pieces."""

    name: str
    note: str
    value: str
    pieces: tuple[MemoryPiece, ...]


class MemoryView(Frozen):
    """All amounts that are known, to one scale, and those that are not, with the reason."""

    bars: tuple[MemoryBar, ...]
    absent: tuple[Named, ...]


def build_memory(cell: Completed) -> MemoryView:
    """Return what a cell's weights hold and what one call of it needed at most."""
    peaks = {field: getattr(cell.memory, field) for field in _PEAKS}
    known = {field: count for field, count in peaks.items() if not isinstance(count, Absent)}
    most = max((sum(cell.weights_bytes.values()), *known.values()))
    bars = [_weights(cell, most)] if cell.weights_bytes else []
    bars += [_peak(cell, field, known[field], most) for field in known]
    absent = not_measured((name, peaks[field]) for field, (name, _) in _PEAKS.items())
    return MemoryView(bars=tuple(bars), absent=absent)


def _peak(cell: Completed, field: str, count: int, most: float) -> MemoryBar:
    name, note = _PEAKS[field]
    before = cell.memory.resident_before_bytes
    if field != "resident_bytes" or isinstance(before, Absent):
        whole = MemoryPiece(share=_percent(count, most), colour=1, text=size(count))
        return MemoryBar(name=name, note=note, value=size(count), pieces=(whole,))
    rest = max(count - before, 0)
    pieces = (
        MemoryPiece(share=_percent(before, most), colour=3, text=f"before the call: {size(before)}"),
        MemoryPiece(share=_percent(rest, most), colour=1, text=f"by the call: {size(rest)}"),
    )
    return MemoryBar(name=name, note=f"{note}; {size(before)} before the call", value=size(count), pieces=pieces)


def memory_columns(cell: Completed) -> dict[str, float | None]:
    """Return the peaks of a call in bytes, for a table; None where one was not measured."""
    counts = {field: getattr(cell.memory, field) for field in type(cell.memory).model_fields}
    return {name_column(field): None if isinstance(count, Absent) else count for field, count in counts.items()}


def name_column(field: str) -> str:
    """Return the column of a memory figure: what the driver counts, and what was there before, are no peaks."""
    return field if field in ("device_used_bytes", "resident_before_bytes") else f"peak_{field}"


def _weights(cell: Completed, most: float) -> MemoryBar:
    total = sum(cell.weights_bytes.values())
    pieces = tuple(
        MemoryPiece(share=_percent(count, most), colour=index % 6, text=f"{part.replace('_', ' ')}: {size(count)}")
        for index, (part, count) in enumerate(cell.weights_bytes.items())
    )
    return MemoryBar(name="Weights", note="; ".join(piece.text for piece in pieces), value=size(total), pieces=pieces)


def _percent(count: float, most: float) -> float:
    return round(100 * max(count, 0) / most, 2) if most else 0.0
