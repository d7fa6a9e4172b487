"""The table of cells: what is written, and what it is sorted by."""

from harness.core.base import Frozen
from harness.core.units import Absent
from harness.reporting.facts import Facts, Standing, Timing, WorstLoss
from harness.reporting.wording import DASH, WORDS, factor_interval, seconds, seconds_interval, share_interval, size

_RANKS: tuple[Standing, ...] = (
    "baseline", "pass", "inconclusive", "fail", "missing", "unjudged", "failed", "skipped", "pending",
)  # fmt: skip


class Column(Frozen):
    """One column: `kind` is text or number, which decides alignment and order."""

    title: str
    kind: str


class Field(Frozen):
    """One field: its text, a secondary line, and its sort key (empty sorts last)."""

    text: str
    note: str = ""
    key: str = ""


class TableRow(Frozen):
    """One cell's row; `standing` filters it."""

    anchor: str
    id: str
    standing: Standing
    word: str
    rank: int
    fields: tuple[Field, ...]
    note: str = ""


class Table(Frozen):
    """All rows, the columns after cell and verdict, and the standings that occur, with their counts."""

    columns: tuple[Column, ...]
    rows: tuple[TableRow, ...]
    standings: tuple[tuple[Standing, str, int], ...]


def varying_axes(facts: tuple[Facts, ...]) -> list[str]:
    """Return the axes on which the cells differ."""
    names = dict.fromkeys(axis for cell in facts for axis in cell.planned.cell.by_axis)
    return [name for name in names if len({cell.planned.cell.by_axis.get(name) for cell in facts}) > 1]


def _split(text: str) -> tuple[str, str]:
    """Return an estimate and its interval as two lines."""
    head, bracket, rest = text.partition(" [")
    return head, bracket.strip() + rest


def _fields(cell: Facts) -> tuple[Field, ...]:
    timing, worst = cell.timing, cell.worst
    if isinstance(timing, Timing):
        image_s = timing.image_s
        text, note = _split(seconds_interval(image_s))
        latency = Field(text=text, note=note, key=repr(image_s.estimate))
        text, note = _split(factor_interval(timing.speedup))
        key = "" if isinstance(timing.speedup, Absent) else repr(timing.speedup.estimate)
        speedup = Field(text=text, note="" if cell.standing == "baseline" else note, key=key)
        throughput = Field(text=f"{timing.throughput:.3g}", key=repr(timing.throughput))
        start = sum(timing.cold.model_dump().values())
        cold = Field(text=seconds(start), key=repr(start))
    else:
        latency = speedup = throughput = cold = Field(text=DASH)
    if isinstance(worst, WorstLoss):
        text, note = _split(share_interval(worst.loss))
        loss = Field(text=text, note=f"{note} {worst.metric}", key=repr(worst.loss.estimate))
    else:
        loss = Field(
            text="0 %" if cell.standing == "baseline" else DASH, key="0" if cell.standing == "baseline" else ""
        )
    memory = cell.peak_memory_bytes
    peak = Field(text=size(memory), key="" if isinstance(memory, Absent) else repr(memory))
    return speedup, latency, loss, peak, cold, throughput


def table_of(facts: tuple[Facts, ...], anchors: dict[str, str]) -> Table:
    """Return the table: the best standings first, the fastest first within each."""
    axes = varying_axes(facts)
    titles = ("Speedup", "Seconds per image", "Worst loss", "Peak memory", "Cold start", "Images/s")
    columns = tuple(Column(title=title, kind="number") for title in titles)
    columns += tuple(Column(title=axis, kind="text") for axis in axes)
    rows = []
    for cell in facts:
        settings = tuple(Field(text=(value := cell.planned.cell.by_axis.get(axis, DASH)), key=value) for axis in axes)
        rows.append(TableRow(
            anchor=anchors[cell.id], id=cell.id, standing=cell.standing, word=WORDS[cell.standing],
            rank=_RANKS.index(cell.standing), fields=(*_fields(cell), *settings),
            note="" if isinstance(cell.timing, Timing) else cell.reason,
        ))  # fmt: skip
    rows.sort(key=lambda row: (row.rank, float(row.fields[1].key or "inf")))
    counts = {row.standing: sum(other.standing == row.standing for other in rows) for row in rows}
    return Table(
        columns=columns, rows=tuple(rows), standings=tuple((name, WORDS[name], n) for name, n in counts.items())
    )
