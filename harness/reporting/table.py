"""The table of cells: which columns of the results it shows, with notes, and its order."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.cost import Cost
from harness.core.units import Absent
from harness.reporting.text import DOUBTS, STANDINGS, write_break_even
from harness.reporting.verdicts import count_waivers, write_analysis
from harness.results import CellResult, Run, Standing
from harness.results.columns import BY_NAME
from harness.results.format import DASH, format_share, format_value, to_number

_RANKS: tuple[Standing, ...] = (
    "baseline", "pass", "inconclusive", "fail", "missing", "unjudged", "failed", "skipped",
    "pending",
)  # fmt: skip


class TableColumn(Frozen):
    """One column: `kind` is text or number, which decides alignment and order."""

    title: str
    kind: str


class TableField(Frozen):
    """One field: its text, a second line, and its sort key (empty sorts last)."""

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
    fields: tuple[TableField, ...]
    note: str = ""
    unprofiled: bool = False
    """It is recommended, but has no trace."""
    waived: str = ""
    """How many waivers its verdict needed."""


class Table(Frozen):
    """All rows, the columns after cell and verdict, and the standings with their counts."""

    columns: tuple[TableColumn, ...]
    rows: tuple[TableRow, ...]
    standings: tuple[tuple[Standing, str, int], ...]


class _Shown(NamedTuple):
    """A column of the results that the table shows: with which note, and of which runs."""

    column: str
    note: Callable[[CellResult], str] = lambda _: ""
    applies: Callable[[Run], bool] = lambda _: True


def _note_doubts(cell: CellResult) -> str:
    warnings = cell.samples.warnings if cell.samples else ()
    return ", ".join(dict.fromkeys(DOUBTS[w.kind] for w in warnings if w.kind in DOUBTS))


def _note_metric(cell: CellResult) -> str:
    return "" if isinstance(cell.worst_loss, Absent) else cell.worst_loss.metric


def _note_front(cell: CellResult) -> str:
    return "on it" if cell.pareto_point and cell.pareto_point.on_front else ""


def _note_counter(cell: CellResult) -> str:
    """Return what counted the peak if another counter counted the baseline's."""
    peak = cell.peak_memory
    return "" if isinstance(peak, Absent) or not cell.counter_difference else peak.counter


def _note_break_even(cell: CellResult) -> str:
    found = cell.break_even
    if isinstance(found, Absent) or not found.is_notable:
        return ""
    return write_break_even(found, cell.run.plan.baseline_id)


def _note_broken(cell: CellResult) -> str:
    return f"at most {format_share(cell.tail.broken_share_high)}" if cell.tail else ""


def _note_cost(cell: CellResult) -> str:
    """Return the baseline's cost in the same rounds: machines drift between cells."""
    if not isinstance(cell.priced, Cost) or not isinstance(cell.baseline_cost, Cost):
        return ""
    return f"baseline in the same rounds {format_value(cell.baseline_cost, 'thousand')}"


def _has_broken_images(run: Run) -> bool:
    return any(tail.broken for tail in run.tails.values())


def _has_reviews(run: Run) -> bool:
    return any(review.answers for review in run.reviews)


def _note_raters(cell: CellResult) -> str:
    found = cell.preference
    return "" if isinstance(found, Absent) else found.samples


def _knows_energy(run: Run) -> bool:
    cells = (run.cell(planned.id) for planned in run.plan.cells)
    return any(not isinstance(cell.energy_j, Absent) for cell in cells)


_SHOWN = (
    _Shown("speedup", _note_doubts),
    _Shown("image_s"),
    _Shown("worst_loss", _note_metric),
    _Shown("front_probability", _note_front),
    _Shown("images", write_analysis, lambda run: bool(run.plan.interim_analyses)),
    _Shown("broken_images", _note_broken, _has_broken_images),
    _Shown("human_preference", _note_raters, _has_reviews),
    _Shown("peak_memory_bytes", _note_counter),
    _Shown("energy_j", applies=_knows_energy),
    _Shown("image_cost", _note_cost, lambda run: run.has_prices),
    _Shown("cold_start_s", _note_break_even),
    _Shown("images_per_s"),
)


def build_table(run: Run, anchors: dict[str, str], unprofiled: frozenset[str]) -> Table:
    """Return the table: the best standings first, within each the lowest normalized latency."""
    shown = [column for column in _SHOWN if column.applies(run)]
    axes = _find_varying_axes(run.cells)
    columns = [TableColumn(title=BY_NAME[s.column].title, kind="number") for s in shown]
    columns += [TableColumn(title=axis, kind="text") for axis in axes]
    cells = sorted(run.cells, key=_rank)
    rows = tuple(
        TableRow(
            anchor=anchors[cell.id],
            id=cell.id,
            standing=cell.standing,
            word=STANDINGS[cell.standing],
            rank=_RANKS.index(cell.standing),
            fields=(
                *(_make_field(cell, column) for column in shown),
                *(_make_setting(cell, axis) for axis in axes),
            ),
            note=cell.reason if isinstance(cell.timed, Absent) else "",
            unprofiled=cell.id in unprofiled,
            waived=count_waivers(cell),
        )
        for cell in cells
    )
    counts = {row.standing: sum(other.standing == row.standing for other in rows) for row in rows}
    standings = tuple((name, STANDINGS[name], count) for name, count in counts.items())
    return Table(columns=tuple(columns), rows=rows, standings=standings)


def _rank(cell: CellResult) -> tuple[int, float]:
    normalized = cell.normalized
    seconds = math.inf if isinstance(normalized, Absent) else normalized.image_s.estimate
    return _RANKS.index(cell.standing), seconds


def _find_varying_axes(cells: Sequence[CellResult]) -> list[str]:
    settings = [cell.planned.cell.by_axis for cell in cells]
    names = dict.fromkeys(axis for found in settings for axis in found)
    return [name for name in names if len({found.get(name) for found in settings}) > 1]


def _make_field(cell: CellResult, shown: _Shown) -> TableField:
    """Return a value on one line, its interval and note on the next."""
    column = BY_NAME[shown.column]
    value = column.read(cell)
    if shown.column == "worst_loss" and cell.is_baseline and cell.samples:
        return TableField(text="0 %", key="0")
    if shown.column == "images" and not value:
        return TableField(text=DASH)
    text, _, ends = format_value(value, column.unit).partition(" [")
    interval = f"[{ends}" if ends and not (shown.column == "speedup" and cell.is_baseline) else ""
    joint = ", " if shown.column == "speedup" else " "
    note = joint.join(part for part in (interval, shown.note(cell)) if part)
    number = to_number(value)
    return TableField(text=text, note=note, key="" if number is None else repr(number))


def _make_setting(cell: CellResult, axis: str) -> TableField:
    value = cell.planned.cell.by_axis.get(axis, DASH)
    return TableField(text=value, key=value)
