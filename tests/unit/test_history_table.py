"""A history: nights merged once each, series that are comparable, and a file that survives damage."""

import json
import shutil
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from harness.core.errors import ResultsError
from harness.core.history import NightlyBudget
from harness.core.outcome import Completed
from harness.core.units import Absent
from harness.history.night import read_night
from harness.history.table import History
from harness.results import Run
from harness.store.layout import RunFolder, history_file
from tests.builders.fake_run import copy_finished_run
from tests.builders.nights import BASELINE, FIRST, MACHINE, history, night

LATENCY = (BASELINE, "latency")


def test_nights_are_ordered_by_time_not_by_adding() -> None:
    found = History("m").merge([night(2, {LATENCY: 3.0}), night(0, {LATENCY: 1.0})]).merge([night(1, {LATENCY: 2.0})])
    assert found.series(MACHINE, *LATENCY).values.tolist() == [1, 2, 3]
    assert [each.run for each in found.nights] == ["night-0000", "night-0001", "night-0002"]


def test_a_night_that_comes_twice_counts_once() -> None:
    found = history({LATENCY: [1.0, 2.0]}).merge([night(1, {LATENCY: 5.0})])
    assert found.series(MACHINE, *LATENCY).values.tolist() == [1, 5]
    assert len(found.nights) == 2


def test_a_missing_night_leaves_a_gap() -> None:
    found = history({LATENCY: [1.0, 2.0]}).merge([night(9, {("other", "latency"): 7.0})])
    assert found.series(MACHINE, *LATENCY).runs.tolist() == ["night-0000", "night-0001"]
    assert len(found.nights_on(MACHINE)) == 3


def test_machines_are_never_mixed() -> None:
    found = history({LATENCY: [1.0, 2.0]}).merge([night(2, {LATENCY: 9.0}, machine="Other GPU")])
    assert found.series(MACHINE, *LATENCY).values.tolist() == [1, 2]
    assert found.series("Other GPU", *LATENCY).values.tolist() == [9]
    assert found.machines == (MACHINE, "Other GPU")


def test_another_baseline_begins_a_new_series() -> None:
    found = history({LATENCY: [1.0, 2.0]}).merge([night(2, {LATENCY: 9.0}, basis="cell=x; baseline=30")])
    assert found.series(MACHINE, *LATENCY).values.tolist() == [9]
    assert found.beginnings() == {(MACHINE, *LATENCY): (("night-0002", "baseline: 50 → 30"),)}


def test_the_clock_of_the_machine_cancels() -> None:
    found = history({LATENCY: [1.0, 1.2, 0.9], ("fast", "latency"): [0.5, 0.6, 0.45]})
    relative = found.relative_latency(MACHINE, "fast")
    np.testing.assert_allclose(relative.values, 0.5)
    np.testing.assert_allclose(relative.high, 0.505)


def test_a_file_gives_back_what_was_saved(tmp_path: Path) -> None:
    found = history({LATENCY: [1.0, 2.0], ("a", "psnr/loss"): [0.1, 0.2], ("a", "stage/vae"): [1.0, 1.0]})
    path = tmp_path / "history" / "m.parquet"
    found.save(path)
    again = History.load(path)
    assert (again.nights, again.quantities) == (found.nights, ("latency", "psnr/loss"))
    assert [s.values.tolist() for s in again.all_series(MACHINE)] == [
        s.values.tolist() for s in found.all_series(MACHINE)
    ]
    assert again.figures("night-0001", "a") == {"psnr/loss": 0.2, "stage/vae": 1.0}


@pytest.mark.parametrize("damage", [b"", b"PAR1 nothing", None])
def test_a_damaged_file_is_built_again(tmp_path: Path, damage: bytes | None) -> None:
    run = copy_finished_run(tmp_path)
    root = run.parent
    path = history_file(root, "fake")
    History.build(root, "fake").save(path)
    path.write_bytes(path.read_bytes()[:-40] if damage is None else damage)
    with pytest.raises(ResultsError, match="damaged"):
        History.load(path)
    found = History.build(root, "fake")
    assert [each.run for each in found.nights] == [run.name]
    assert len(found.notes) == 1


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.history.file.VERSION", 99)
    history({LATENCY: [1.0]}).save(tmp_path / "m.parquet")
    monkeypatch.setattr("harness.history.file.VERSION", 1)
    with pytest.raises(ResultsError, match="newer"):
        History.load(tmp_path / "m.parquet")


def test_a_night_stays_when_its_run_is_gone(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    root = run.parent
    first = History.build(root, "fake")
    first.save(history_file(root, "fake"))
    shutil.rmtree(run)
    again = History.build(root, "fake")
    assert [each.stale for each in again.nights] == [True]
    assert again.columns.value.tolist() == first.columns.value.tolist()


def test_figures_of_a_run_are_read_once(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    first = read_night(run)
    assert first is not None
    document = json.loads(RunFolder(run).readings.read_bytes())
    document["rows"][0][2] = -1.0
    RunFolder(run).readings.write_text(json.dumps(document), encoding="utf-8")
    kept = read_night(run)
    assert kept is not None
    assert kept.rows[0][2] == -1.0
    (outcome,) = RunFolder(run).cells.glob("4-steps*/outcome.json")
    outcome.write_bytes(outcome.read_bytes() + b"\n")
    assert read_night(run) == first


def test_a_run_of_another_matrix_is_refused(tmp_path: Path) -> None:
    run = copy_finished_run(tmp_path)
    with pytest.raises(ResultsError, match="matrix fake"):
        History("other").add([run])
    assert read_night(run, "other") is None


def test_a_known_night_keeps_its_place() -> None:
    """A clock that was set back is recorded once, in the night's time."""
    later = FIRST + timedelta(days=5)
    found = history({LATENCY: [1.0]}).merge([night(1, {LATENCY: 2.0}, time=later, notes=("clock set back",))])
    again = found.merge([night(1, {LATENCY: 2.0})])
    assert (again.nights[1].time, again.nights[1].notes) == (later, ("clock set back",))


@pytest.mark.parametrize(
    ("text", "per_night"), [("1 a month", 1 / 30), ("0.5 a week", 0.5 / 7), ("2 per year", 2 / 365)]
)
def test_budgets_are_rates(text: str, per_night: float) -> None:
    assert NightlyBudget.parse(text).per_night == pytest.approx(per_night)


@pytest.mark.parametrize("text", ["", "often", "0 a month", "1 a fortnight", "-1 a month", "inf a week"])
def test_a_wrong_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a month"):
        NightlyBudget.parse(text)


def test_stages_add_up_to_a_call(tmp_path: Path) -> None:
    """The time between the stages is one of them."""
    cell = Run.load(copy_finished_run(tmp_path)).cell("4-steps_fp32")
    assert isinstance(cell.stages_s, dict)
    assert not isinstance(cell.latency, Absent)
    assert sum(cell.stages_s.values()) == pytest.approx(cell.latency.median_s.estimate, rel=0.05)
    assert isinstance(cell.samples, Completed)
    least = min(repeat.stages_s["other"] for repeat in cell.samples.repeats)
    assert cell.stages_s["other"] >= 0.9 * least > 0
