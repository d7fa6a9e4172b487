"""The joined record of a run: columns declared once, absent values with reasons, one way to write a value."""

from types import SimpleNamespace
from typing import Any

import pytest

from harness.core.cost import Cost
from harness.core.quality import Interval
from harness.core.units import Absent
from harness.results import CellResult, Run
from harness.results.columns import BY_NAME, COLUMNS, Column, make_rows
from harness.results.format import Unit, Value, bracket, format_value, to_number

NO_GPU = Absent(absent="no GPU")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (NO_GPU, "seconds", "–"),
        (None, "count", "–"),
        (0.1, "seconds", "100 ms"),
        (Interval(estimate=0.1, low=0.0991, high=0.102, method="x"), "seconds", "100 ms [99.1, 102]"),
        (Interval(estimate=1.0, low=0.9, high=1.1, method="x"), "seconds", "1 s [900 ms, 1.1 s]"),
        (Interval(estimate=9.8, low=9.61, high=9.94, method="x"), "factor", "9.80× [9.61, 9.94]"),
        (Interval(estimate=0.021, low=-0.014, high=0.029, method="x"), "share", "2.1 % [−1.4, 2.9]"),
        (2**20, "bytes", "1 MiB"),
        (12345, "count", "12,345"),
        (217.3, "joules", "217.3 J"),
        (0.004, "probability", "< 1 %"),
        (Cost(currency="USD", parts={"machine": 0.0005927}), "thousand", "0.593 USD"),
        (Cost(currency="USD", parts={"machine": 0.0005927}), "number", "0.000593 USD"),
    ],
)
def test_values_are_written_with_their_units(value: Value, unit: Unit, text: str) -> None:
    assert format_value(value, unit) == text


def test_units_are_written_once_only_if_shared() -> None:
    assert bracket("3 min 20 s", "3 min 10 s", "3 min 30 s") == "3 min 20 s [3 min 10 s, 3 min 30 s]"
    assert bracket("−1 %", "−2 %", "∞ %") == "−1 % [−2, ∞]"


def test_a_column_stops_at_the_first_absence() -> None:
    column = Column("x", "samples.memory.peak")
    known: Any = SimpleNamespace(samples=SimpleNamespace(memory=SimpleNamespace(peak=3)))
    unknown: Any = SimpleNamespace(samples=SimpleNamespace(memory=NO_GPU))
    nothing: Any = SimpleNamespace(samples=None)
    assert [column.read(cell) for cell in (known, unknown, nothing)] == [3, NO_GPU, None]


def test_column_names_are_unique() -> None:
    names = [column.name for column in COLUMNS if isinstance(column, Column)]
    assert len(names) == len(set(names)) <= len(BY_NAME)


def test_rows_explain_every_absent_value(loaded: Run) -> None:
    rows = {row["cell"]: row for row in make_rows(loaded)}
    assert len({tuple(row) for row in rows.values()}) == 1
    assert rows["50-steps_fp16"]["absent"] == f"all figures: {loaded.cell('50-steps_fp16').absence.absent}"
    for cell in loaded.cells:
        for column in COLUMNS if cell.samples else ():
            for name, value in column.values(cell).items():
                if isinstance(value, Absent):
                    assert f"{name}: {value.absent}" in str(rows[cell.id]["absent"])
                else:
                    assert rows[cell.id][name] == to_number(value)


def test_cells_without_samples_have_no_figures(cells: dict[str, CellResult]) -> None:
    skipped = cells["50-steps_fp16"]
    assert skipped.samples is None and skipped.standing == "skipped"
    for figure in (skipped.latency, skipped.speedup, skipped.image_cost, skipped.peak_memory, skipped.worst_loss):
        assert figure == skipped.absence
