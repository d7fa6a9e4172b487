"""The table of cells: what is written, and what it is sorted by."""

import math
from collections.abc import Callable

from harness.core.base import Frozen
from harness.core.outcome import Completed, Peak
from harness.core.units import Absent
from harness.reporting.cautions import doubts
from harness.reporting.energy import compute_cost, compute_energy, paired_baseline_cost, priced
from harness.reporting.facts import Facts, Standing, Timing
from harness.reporting.gated_losses import WorstLoss
from harness.reporting.loaded import LoadedRun
from harness.reporting.pareto import Point
from harness.reporting.payback import payback_words
from harness.reporting.sampling import analysis_words
from harness.reporting.wording import (
    DASH,
    WORDS,
    factor_interval,
    grouped,
    money,
    number,
    probability,
    rate,
    seconds,
    seconds_interval,
    share,
    share_interval,
    size,
)

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
    unprofiled: bool = False
    """It is recommended, but has no trace."""


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


def _fields(loaded: LoadedRun, cell: Facts, point: Point | None) -> tuple[Field, ...]:
    timing, worst, outcome = cell.timing, cell.worst, loaded.completed(cell.id)
    if isinstance(timing, Timing):
        image_s = timing.image_s
        text, note = _split(seconds_interval(image_s))
        latency = Field(text=text, note=note, key=repr(image_s.estimate))
        text, note = _split(factor_interval(timing.speedup))
        key = "" if isinstance(timing.speedup, Absent) else repr(timing.speedup.estimate)
        doubtful = doubts(outcome.warnings) if outcome else ""
        note = ", ".join(part for part in ("" if cell.standing == "baseline" else note, doubtful) if part)
        speedup = Field(text=text, note=note, key=key)
        throughput = Field(text=rate(timing.throughput), key=repr(timing.throughput))
        start = timing.cold.total_s
        made = timing.payback
        note = "" if isinstance(made, Absent) or not made.significant else payback_words(made, loaded.plan.baseline_id)
        cold = Field(text=seconds(start), note=note, key=repr(start))
    else:
        latency = speedup = throughput = cold = Field(text=DASH)
    if isinstance(worst, WorstLoss):
        text, note = _split(share_interval(worst.loss))
        loss = Field(text=text, note=f"{note} {worst.metric}", key=repr(worst.loss.estimate))
    else:
        loss = Field(
            text="0 %" if cell.standing == "baseline" else DASH, key="0" if cell.standing == "baseline" else ""
        )
    peak = _memory(loaded, cell.peak_memory)
    return speedup, latency, loss, _front(point), peak, cold, throughput


def _memory(loaded: LoadedRun, peak: Peak | Absent) -> Field:
    """Return the peak, noted where another counter told the baseline's: the two do not compare."""
    if isinstance(peak, Absent):
        return Field(text=DASH)
    paired_baseline = loaded.baseline.memory.peak() if loaded.baseline else peak
    alike = isinstance(paired_baseline, Absent) or paired_baseline.counter == peak.counter
    return Field(text=size(peak.count), note="" if alike else peak.counter, key=repr(peak.count))


def _front(point: Point | None) -> Field:
    """Return the probability to be on the Pareto front, noted where the estimates themselves are on it."""
    if point is None or point.chance is None:
        return Field(text=DASH)
    return Field(text=probability(point.chance), note="on it" if point.front else "", key=repr(point.chance))


def _images(loaded: LoadedRun, cell: Facts) -> Field:
    if not cell.images:
        return Field(text=DASH)
    return Field(text=grouped(cell.images), note=analysis_words(loaded, cell.id), key=repr(cell.images))


def _broken(loaded: LoadedRun, cell: Facts) -> Field:
    tail = loaded.tail(cell.id)
    if tail is None:
        return Field(text=DASH)
    note = f"at most {share(tail.broken_share_high)}"
    return Field(text=grouped(tail.broken), note=note, key=repr(tail.broken / tail.n if tail.n else 0.0))


Maker = Callable[[LoadedRun, Facts], Field]


def _extra(loaded: LoadedRun) -> dict[str, Maker]:
    extra: dict[str, Maker] = {"Images": _images} if loaded.plan.interim_analyses else {}
    broken = any(tail.broken for tail in (loaded.evaluation.tails if loaded.evaluation else ()))
    return extra | ({"Broken images": _broken} if broken else {})


def _measured(loaded: LoadedRun) -> dict[str, Maker]:
    """Return the columns of what not every machine tells and not every matrix prices."""
    cells = [cell for cell in loaded.outcomes.values() if isinstance(cell, Completed)]
    known = any(not isinstance(compute_energy(cell), Absent) for cell in cells)
    measured: dict[str, Maker] = {"Energy per image": _energy} if known else {}
    return measured | ({"Cost of 1,000 images": _cost} if priced(loaded) else {})


def _energy(loaded: LoadedRun, cell: Facts) -> Field:
    outcome = loaded.completed(cell.id)
    energy = compute_energy(outcome) if outcome else Absent(absent=cell.reason)
    return Field(text=DASH) if isinstance(energy, Absent) else Field(text=f"{number(energy)} J", key=repr(energy))


def _cost(loaded: LoadedRun, cell: Facts) -> Field:
    cost = compute_cost(loaded, cell)
    if isinstance(cost, Absent):
        return Field(text=DASH)
    paired_baseline = paired_baseline_cost(loaded, cell.id)
    note = (
        ""
        if isinstance(paired_baseline, Absent)
        else f"baseline beside it {money(1000 * paired_baseline.amount, paired_baseline.currency)}"
    )
    return Field(text=money(1000 * cost.amount, cost.currency), note=note, key=repr(cost.amount))


def build_table(
    loaded: LoadedRun,
    facts: tuple[Facts, ...],
    anchors: dict[str, str],
    points: tuple[Point, ...],
    untraced: frozenset[str],
) -> Table:
    """Return the table: the best standings first, within each the fastest first, on the baseline's clock.

    Images have a column where cells differ in their number, broken ones, energy and cost where there are any.
    `untraced` are the cells that are recommended without a trace.
    """
    axes, by_id = varying_axes(facts), {point.cell_id: point for point in points}
    extra, later = _extra(loaded), _measured(loaded)
    titles = (
        "Speedup", "Seconds per image", "Worst loss", "Pareto front", *extra, "Peak memory", *later, "Cold start",
        "Images/s",
    )  # fmt: skip
    columns = tuple(Column(title=title, kind="number") for title in titles)
    columns += tuple(Column(title=axis, kind="text") for axis in axes)
    rows = []
    for cell in facts:
        settings = tuple(Field(text=(value := cell.planned.cell.by_axis.get(axis, DASH)), key=value) for axis in axes)
        fields = _fields(loaded, cell, by_id.get(cell.id))
        more, most = (tuple(make(loaded, cell) for make in makers.values()) for makers in (extra, later))
        rows.append(TableRow(
            anchor=anchors[cell.id], id=cell.id, standing=cell.standing, word=WORDS[cell.standing],
            rank=_RANKS.index(cell.standing), fields=(*fields[:4], *more, fields[4], *most, *fields[5:], *settings),
            note="" if isinstance(cell.timing, Timing) else cell.reason, unprofiled=cell.id in untraced,
        ))  # fmt: skip
    paces = {cell.id: cell.timing.normalized_s for cell in facts if isinstance(cell.timing, Timing)}
    rows.sort(key=lambda row: (row.rank, paces.get(row.id, math.inf)))
    counts = {row.standing: sum(other.standing == row.standing for other in rows) for row in rows}
    return Table(
        columns=columns, rows=tuple(rows), standings=tuple((name, WORDS[name], n) for name, n in counts.items())
    )
