"""Changes of level in series of nights: what is found, what is ignored, and how sure a level is."""

import numpy as np
import pytest

from harness.stats.changes import (
    Readings,
    common_movement,
    find_shifts,
    inflate,
    level_interval,
    log_evidence,
)

CV, NIGHTS = 0.015, 130
STRICT = 500.0
"""The e-value for one false alarm a month in 160 series."""


def read(values, half_widths=None):
    values = np.atleast_2d(values)
    return Readings(values, half_widths, np.full(len(values), 1e-3), np.zeros(len(values), dtype=np.int64))


def find(values, half_widths=None, threshold=STRICT):
    return find_shifts(read(values, half_widths), np.full((np.shape(values)[-1], 2), threshold))


def quiet(series=40, nights=NIGHTS, seed=0):
    return np.random.default_rng(seed).normal(0, CV, (series, nights))


def test_a_step_is_found_within_three_nights() -> None:
    values = quiet(200)
    values[:, 120:] += 0.05
    first = {}
    for shift in find(values).shifts:
        if shift.found >= 120:
            first.setdefault(shift.series, shift)
    soon = [shift for shift in first.values() if shift.found <= 122 and shift.sign == 1]
    assert len(soon) >= 0.87 * 200
    assert np.mean([shift.since == 120 for shift in soon]) > 0.8


def test_improvements_are_found_too() -> None:
    values = quiet(20)
    values[:, 100:] -= 0.08
    assert {shift.series for shift in find(values).shifts if shift.sign == -1 and shift.found >= 100} == set(range(20))


@pytest.mark.parametrize(("bad", "share"), [(1, 0.02), (2, 1 / 3)])
def test_bad_nights_are_no_change(bad: int, share: float) -> None:
    values = quiet(100)
    values[:, 100 : 100 + bad] += 0.3
    found = {shift.series for shift in find(values).shifts if 100 <= shift.found <= 104 and shift.since >= 99}
    assert len(found) <= 100 * share


def test_a_slow_drift_is_found() -> None:
    values = quiet(50, 200)
    values[:, 80:] += 0.001 * np.arange(120)
    found = {shift.series for shift in find(values).shifts if shift.found >= 80 and shift.sign == 1}
    assert len(found) == 50


def test_quiet_series_raise_few_alarms() -> None:
    months = 160 * NIGHTS / (160 * 30)
    alarms = len(find(quiet(160, seed=3)).shifts)
    assert alarms <= 3 * months


def test_two_speeds_are_one_level() -> None:
    rng = np.random.default_rng(1)
    values = quiet(40)
    slow = np.zeros(40, dtype=bool)
    for night in range(NIGHTS):
        slow = np.where(rng.random(40) < 0.3, rng.random(40) < 0.5, slow)
        values[:, night] += 0.15 * slow
    assert len(find(values).shifts) <= 2


def test_a_wide_interval_counts_less() -> None:
    values, widths = quiet(20), np.full((20, NIGHTS), 0.01)
    values[:, 120:124] += 0.05
    widths[:, 120:124] = 0.3
    assert not [shift for shift in find(values, widths).shifts if shift.found >= 120]


def test_constant_series_notice_any_step() -> None:
    values = np.zeros((2, 60))
    values[1, 40:] = 0.05
    (shift,) = find(values).shifts
    assert shift == (1, 40, 42, 1)


@pytest.mark.parametrize("nights", [0, 1, 2, 7])
def test_few_nights_are_not_judged(nights: int) -> None:
    assert find(np.zeros((3, nights))).shifts == ()


def test_absent_readings_are_skipped() -> None:
    values = quiet(10)
    values[:, 100:] += 0.1
    values[:, ::5] = np.nan
    values[0] = np.nan
    shifts = [shift for shift in find(values).shifts if shift.found >= 100]
    assert {shift.series for shift in shifts} == set(range(1, 10))
    assert np.median([shift.since for shift in shifts]) == 101


def test_earlier_findings_stay_as_nights_are_added() -> None:
    values = quiet(60, 160, seed=5)
    values[:10, 60:] += 0.04
    early, late = find(values[:, :120]).shifts, find(values).shifts
    assert early == tuple(shift for shift in late if shift.found < 120)
    assert len(early) >= 10


def test_a_suspicion_is_decided_as_forecast() -> None:
    values = quiet(300, 200)
    values[:, 120:] += 0.05
    suspicions = [each for each in find(values[:, :122]).suspicions if each.sign == 1]
    late = {shift.series: shift.found for shift in find(values).shifts if shift.found >= 122}
    waits = [late[each.series] - 121 - (each.more or 99) for each in suspicions if each.series in late]
    assert len(waits) > 100
    assert np.median(np.abs(waits)) <= 1


def test_evidence_is_an_e_value() -> None:
    z = np.random.default_rng(2).standard_normal(400_000)
    for variance in (0.05, 0.3, 1.0):
        assert np.exp(log_evidence(z, np.array(variance))).mean() < 1.1


def test_means_of_correlated_nights_vary_more() -> None:
    rng, correlation, count = np.random.default_rng(4), 0.5, 10
    values = rng.standard_normal((20_000, count))
    for night in range(1, count):
        values[:, night] = correlation * values[:, night - 1] + np.sqrt(1 - correlation**2) * values[:, night]
    expected = inflate(np.array(correlation), np.array(count)) / count
    assert values.mean(axis=1).var() == pytest.approx(expected, rel=0.05)


def test_intervals_of_levels_cover() -> None:
    values = quiet(400, 60)
    detection = find(values)
    inside = 0
    for series in range(400):
        noise = (detection.scale[series], detection.correlation[series], detection.freedom[series])
        _, low, high = level_interval(values[series, -12:], noise)
        inside += low <= 0 <= high
    assert 0.92 <= inside / 400 <= 0.99


def test_common_movement_leaves_one_cell_alone() -> None:
    values = quiet(12, 80)
    values[:, 40:] += 0.1
    values[3, 60:] += 0.05
    common = common_movement(values)
    assert common[45:].mean() - common[:40].mean() == pytest.approx(0.1, abs=0.01)
    assert (values[3] - common)[60:].mean() - (values[3] - common)[:60].mean() == pytest.approx(0.05, abs=0.01)
    assert not common_movement(values[:2]).any()


def test_a_night_of_few_cells_moves_nothing() -> None:
    values = quiet(12, 80)
    values[2:, 50] = np.nan
    values[:2, 50] += 0.2
    common = common_movement(values)
    assert common[50] == common[49]
