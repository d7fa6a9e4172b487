"""Causes of a change: facts, conditions, parts and traces that moved with it; and breaks of a history."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from harness.core.history import Level, LevelChange
from harness.core.trace import TraceFacts
from harness.history.attribution import list_causes
from harness.history.statements import list_statements
from harness.history.table import History
from tests.builders.nights import BASELINE, FIRST, MACHINE, night

CHANGED = 5
"""The first night at the new level."""
Rows = Mapping[tuple[str, str], float]


def made(before: Rows, after: Rows, **facts: str) -> History:
    """Return ten nights with one set of rows, then another, with changed facts."""
    usual = {"driver": "550", "torch": "2.11"}
    return History("m").merge(
        night(n, after, facts=usual | facts) if n >= CHANGED else night(n, before, facts=usual) for n in range(10)
    )


def change(before: float = 1.0, after: float = 1.1, **changed: Any) -> LevelChange:
    levels = [Level(estimate=value, low=value, high=value, nights=5) for value in (before, after)]
    known = {
        "id": "c", "machine": MACHINE, "cell": "fast", "quantity": "latency", "since": f"night-{CHANGED:04d}",
        "found": "night-0007", "before": levels[0], "after": levels[1], "direction": "worse", "state": "known",
    }  # fmt: skip
    return LevelChange.model_validate(known | changed)


def rows(latency: float, **parts: float) -> dict[tuple[str, str], float]:
    named = {("fast", name.replace("__", "/").replace("_s_", " ")): value for name, value in parts.items()}
    return {(BASELINE, "latency"): 1.0, ("fast", "latency"): latency} | named


def test_changed_facts_are_named() -> None:
    history = made(rows(1.0), rows(1.1), driver="570")
    assert "driver: 550 → 570." in list_causes(history, change(), Path())


def test_without_any_difference_that_is_stated() -> None:
    (cause,) = list_causes(made(rows(1.0), rows(1.1)), change(), Path())
    assert "night-0004" in cause
    assert "night-0005" in cause


def test_the_part_that_moved_is_named() -> None:
    history = made(
        rows(1.0, stage__denoiser=0.8, stage__vae=0.1, stage__other=0.1),
        rows(1.1, stage__denoiser=0.8, stage__vae=0.1, stage__other=0.2),
    )
    causes = [cause for cause in list_causes(history, change(), Path()) if "of the change" in cause]
    assert len(causes) == 1
    assert causes[0].startswith("100 %")
    assert "host" in causes[0]


def test_the_machines_own_clock_is_taken_out() -> None:
    """On a machine that is twice as slow, a stage that is twice as long did not move."""
    before, after = rows(1.0, stage__denoiser=0.8, stage__vae=0.2), rows(2.2, stage__denoiser=1.6, stage__vae=0.6)
    causes = list_causes(made(before, {**after, (BASELINE, "latency"): 2.0}), change(), Path())
    assert [cause for cause in causes if "VAE" in cause]
    assert not [cause for cause in causes if "denoiser" in cause]


def test_parts_of_a_cold_start_are_named() -> None:
    parts = {("fast", "cold start/load"): 1.0, ("fast", "cold start/compile"): 1.0}
    history = made({("fast", "cold_start"): 2.0, **parts},
                   {("fast", "cold_start"): 3.0, **parts, ("fast", "cold start/compile"): 2.0})  # fmt: skip
    causes = list_causes(history, change(2.0, 3.0, quantity="cold_start"), Path())
    assert any("compile" in cause for cause in causes)
    assert not any("load" in cause for cause in causes)


@pytest.mark.parametrize(
    ("name", "before", "after", "stated"),
    [
        ("GPU clock (MHz)", 1980, 1700, True),
        ("GPU clock (MHz)", 1980, 1975, False),
        ("GPU temperature (°C)", 60, 80, True),
        ("load of other programs", 0.0, 0.3, True),
        ("share of blocks slowed for heat or power", 0.0, 0.02, False),
    ],
)
def test_conditions_that_changed_are_named(name: str, before: float, after: float, stated: bool) -> None:
    pair = [{**rows(latency), ("fast", f"condition/{name}"): value} for latency, value in ((1.0, before), (1.1, after))]
    causes = list_causes(made(*pair), change(), Path())
    assert any(cause.startswith(name) for cause in causes) == stated


def test_a_change_of_the_machine_reads_the_baseline() -> None:
    history = made({(BASELINE, "latency"): 1.0}, {(BASELINE, "latency"): 1.1}, host="other")
    assert "host: none → other." in list_causes(history, change(cell=""), Path())


def test_traces_of_both_sides_are_compared(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for run in ("night-0002", "night-0006"):
        (tmp_path / run).mkdir()
        (tmp_path / run / "run.json").write_text("{}", encoding="utf-8")
    facts = TraceFacts.model_construct()
    monkeypatch.setattr("harness.history.attribution.read_trace_facts", lambda folder, cell: facts)

    class Diff:
        sentences = ("The denoiser is slower.",)

    monkeypatch.setattr("harness.history.attribution.compare", lambda before, after: Diff)
    causes = list_causes(made(rows(1.0), rows(1.1)), change(), tmp_path)
    assert causes[-1] == "The denoiser is slower."
    assert "night-0006" in causes[-2]
    assert "night-0002" in causes[-2]


def test_a_series_that_began_anew_has_no_cause() -> None:
    later = night(10, rows(1.1), basis="cell=other")
    assert list_causes(made(rows(1.0), rows(1.1)).merge([later]), change(), Path()) == ()


def test_gained_and_lost_cells_are_stated() -> None:
    before, after = {("a", "latency"): 1.0, ("b", "latency"): 1.0}, {("a", "latency"): 1.0, ("c", "latency"): 1.0}
    found = list_statements(History("m").merge([night(0, before), night(1, after)]))
    assert [text.split(" with")[0] for text in found] == ["c was added", "b was removed"]


def test_another_baseline_is_stated() -> None:
    one = night(0, {("a", "latency"): 1.0}, basis="cell=a; baseline=steps:50")
    other = night(1, {("a", "latency"): 1.0}, basis="cell=a; baseline=steps:30", baseline="30-steps")
    found = list_statements(History("m").merge([one, other]))
    assert any("50-steps → 30-steps" in text for text in found)
    assert any("steps:50 → steps:30" in text for text in found)


def test_missing_nights_are_counted() -> None:
    usual = [night(n, {("a", "latency"): 1.0}) for n in (0, 1, 2, 5, 6)]
    (text,) = list_statements(History("m").merge(usual))
    assert text.startswith("2 nights are missing")


def test_repetitions_leave_no_gap_and_begin_nothing() -> None:
    usual = [night(n, {("a", "latency"): 1.0, ("a", "psnr/loss"): 0.1}) for n in range(6)]
    again = night(3, {("a", "latency"): 1.0, ("a", "psnr/loss"): 0.3}, run="again", repetition_of="night-0003",
                  time=FIRST + timedelta(days=3, hours=1), basis="cell=x; baseline=50; seeds=0,1")  # fmt: skip
    found = History("m").merge([*usual, again])
    assert list_statements(found) == ()
    assert found.series(MACHINE, "a", "psnr/loss").values.tolist() == [0.1] * 6
    reading = found.reading("again", "a", "psnr/loss")
    assert reading is not None
    assert reading.value == 0.3
