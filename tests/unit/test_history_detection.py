"""Changes of a history: cells, machine and baseline told apart, states, ids, and the budget."""

from datetime import timedelta

import numpy as np
import pytest

from harness.core.history import NightlyBudget
from harness.history.detection import detect, nominal_run_length
from harness.history.table import History
from tests.builders.nightly_history import BASELINE, FIRST_NIGHT, build_history

BUDGET = NightlyBudget.parse("0.5 a year")
"""A strict budget: chance alarms would blur what these tests look at."""
NIGHTS, CELLS = 90, 10


def matrix(seed=0):
    """Return a matrix on a machine whose clock wanders, shared by its cells."""
    rng = np.random.default_rng(seed)
    clock = np.exp(rng.normal(0, 0.02, NIGHTS))
    values = {}
    for number in range(CELLS):
        cell = f"cell{number}" if number else BASELINE
        noise = np.exp(rng.normal(0, 0.01, (2, NIGHTS)))
        values[cell, "latency"] = (1 + number) * clock * (noise[0] if number else 1)
        values[cell, "cold_start"] = 20 * clock * noise[1]
        values[cell, "peak_memory"] = np.full(NIGHTS, 4e9)
        if number:
            values[cell, "lpips/loss"] = 0.02 + rng.normal(0, 0.003, NIGHTS)
    return values


def find(values, budget=BUDGET):
    return detect(build_history(values), budget)


def where(changes):
    return [(change.cell, change.quantity, change.since) for change in changes]


def test_quiet_nights_change_nothing() -> None:
    assert find(matrix()) == ()


def test_each_cell_has_its_own_change() -> None:
    values = matrix()
    values["cell3", "latency"][60:] *= 1.05
    values["cell4", "peak_memory"][50:] *= 1.1
    values["cell5", "lpips/loss"][70:] -= 0.02
    found = {change.cell: change for change in find(values)}
    assert {cell: (each.quantity, each.direction, each.state) for cell, each in found.items()} == {
        "cell3": ("latency", "worse", "known"),
        "cell4": ("peak_memory", "worse", "known"),
        "cell5": ("lpips/loss", "better", "known"),
    }
    slower, larger = found["cell3"], found["cell4"]
    assert slower.before.estimate == pytest.approx(4, rel=0.01)
    assert slower.after.estimate / slower.before.estimate == pytest.approx(1.05, abs=0.01)
    assert slower.after.low < 4 * 1.05 < slower.after.high
    assert (larger.since, larger.found) == ("night-0050", "night-0053")
    assert (larger.before.nights, larger.after.nights) == (50, 40)


def test_a_slower_machine_is_one_event() -> None:
    values = matrix()
    for (_, quantity), series in values.items():
        if quantity in ("latency", "cold_start"):
            series[60:] *= 1.1
    (change,) = find(values)
    assert (change.cell, change.direction) == ("", "worse")


def test_a_slower_baseline_is_one_event() -> None:
    values = matrix()
    values[BASELINE, "latency"][60:] *= 1.06
    (change,) = find(values)
    assert (change.cell, change.quantity, change.direction) == (BASELINE, "latency", "worse")
    assert change.after.estimate / change.before.estimate == pytest.approx(1.06, abs=0.01)


def test_a_change_of_most_cells_leaves_the_rest() -> None:
    values = matrix()
    for number in range(1, 8):
        values[f"cell{number}", "cold_start"][60:] *= 1.1
    sure = where(change for change in find(values) if change.state != "suspected")
    assert ("", "cold_start", "night-0060") in sure
    assert len(sure) <= 2 and not {cell for cell, _, _ in sure} & {f"cell{number}" for number in range(1, 8)}


def test_a_cell_is_found_when_the_machine_moves() -> None:
    values = matrix()
    for (_, quantity), series in values.items():
        if quantity in ("latency", "cold_start"):
            series[60:] *= 1.1
    values["cell2", "latency"][60:] *= 1.06
    assert {change.cell for change in find(values)} == {"", "cell2"}


def test_states_follow_the_nights() -> None:
    values = matrix()
    values["cell3", "peak_memory"][80:] *= 1.1
    seen = []
    for nights in range(81, 86):
        found = find({key: series[:nights] for key, series in values.items()})
        seen += [[(change.state, change.id, change.decided_in_nights) for change in found]]
    ids = {each[1] for night in seen for each in night}
    assert len(ids) == 1
    assert [[(state, more) for state, _, more in night] for night in seen] == [
        seen[0] and [("suspected", 2)],
        [("suspected", 1)],
        [("new", None)],
        [("known", None)],
        [("known", None)],
    ]


def test_contradicted_changes_are_withdrawn() -> None:
    values, often = matrix(), NightlyBudget.parse("1 a week")
    found = set()
    for nights in range(30, NIGHTS, 4):
        early = find({key: series[:nights] for key, series in values.items()}, often)
        found |= {change.id for change in early if change.state != "suspected"}
    kept = [change for change in find(values, often) if change.state != "suspected"]
    assert len(kept) < len(found)
    for change in kept:
        rise = change.after.estimate - change.before.estimate
        assert (rise > 0) == (change.direction == "worse")


def test_a_single_night_is_no_history() -> None:
    assert find({key: series[:1] for key, series in matrix().items()}) == ()
    assert detect(History("matrix"), BUDGET) == ()


def test_absent_readings_do_not_matter() -> None:
    values = matrix()
    values["cell3", "latency"][60:] *= 1.05
    values["cell3", "latency"][::7] = np.nan
    values["cell5", "cold_start"][:] = np.nan
    assert [change.cell for change in find(values)] == ["cell3"]


def test_a_larger_matrix_is_judged_more_strictly() -> None:
    nights = build_history(matrix()).nights
    values = np.zeros((6, NIGHTS))
    values[3:, :40] = np.nan
    length = nominal_run_length(values, nights, BUDGET.per_night)
    assert length[0] == pytest.approx(3 / BUDGET.per_night)
    assert length[-1] == pytest.approx(6 / BUDGET.per_night)


def test_more_runs_a_day_are_judged_more_strictly() -> None:
    nights = [
        night.model_copy(update={"time": FIRST_NIGHT + timedelta(hours=6 * place)})
        for place, night in enumerate(build_history({("a", "energy"): np.ones(240)}).nights)
    ]
    length = nominal_run_length(np.ones((1, 240)), nights, BUDGET.per_night)
    assert length[-1] == pytest.approx(4 / BUDGET.per_night)


@pytest.mark.parametrize("text", ["", "often", "0 a month", "-1 a week", "1 a day", "nan a month", "1 month"])
def test_budget_needs_a_rate(text: str) -> None:
    with pytest.raises(ValueError):
        NightlyBudget.parse(text)


@pytest.mark.parametrize(("text", "days"), [("1 a month", 30), ("2 a year", 182.5), ("0.5 a week", 14)])
def test_budget_is_a_rate(text: str, days: float) -> None:
    assert 1 / NightlyBudget.parse(text).per_night == pytest.approx(days)
