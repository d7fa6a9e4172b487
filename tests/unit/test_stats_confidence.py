"""Confidence distributions: bounds, p-values and folding agree with each other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats import confidence
from harness.stats.confidence import LEVELS, fold, interval, lower_bound, p_value, student, uncertainty, upper_bound


def test_levels_are_symmetric_and_dense_in_the_tails() -> None:
    assert np.allclose(LEVELS + LEVELS[::-1], 1)
    assert (np.diff(LEVELS) > 0).all()
    assert {0.0005, 0.025, 0.05, 0.5, 0.95, 0.975, 0.9995} <= set(LEVELS.tolist())


@given(st.floats(-1, 1), st.floats(1e-6, 1), st.floats(-2, 2))
def test_p_value_is_the_level_bounded_by_the_margin(estimate: float, error: float, margin: float) -> None:
    found = student(estimate, error, 19)
    p = p_value(found, margin)
    assert LEVELS[0] - 1e-12 <= p <= LEVELS[-1] + 1e-12
    if LEVELS[0] + 1e-9 < p < LEVELS[-1] - 1e-9:
        assert upper_bound(found, 1 - p) == pytest.approx(margin, abs=1e-9)


@given(st.floats(-1, 1), st.floats(1e-6, 1), st.floats(0, 1), st.sampled_from([0.05, 0.01, 0.005]))
def test_folding_passes_with_both_one_sided_tests(estimate: float, error: float, margin: float, alpha: float) -> None:
    signed = student(estimate, error, 19)
    both = upper_bound(signed, 1 - alpha) < margin and lower_bound(signed, 1 - alpha) > -margin
    assert (upper_bound(fold(signed), 1 - alpha) < margin) == both


def test_folding_keeps_bounds_ordered_and_above_zero() -> None:
    folded = fold(student(-0.03, 0.01, 19))
    assert min(folded.quantiles) >= 0
    assert list(folded.quantiles) == sorted(folded.quantiles)
    assert upper_bound(folded, 0.5) == pytest.approx(0.03)


def test_an_interval_holds_its_estimate() -> None:
    found = interval(student(0.2, 0.1, 19), 0.2, "test")
    assert found.low < 0.2 < found.high
    assert found.high - 0.2 == pytest.approx(0.1 * 2.093, rel=1e-3)


def test_bounds_without_spread_are_the_estimate() -> None:
    flat = uncertainty(np.full(len(LEVELS), 0.02))
    assert upper_bound(flat, 0.999) == lower_bound(flat, 0.999) == 0.02
    assert p_value(flat, 0.05) == pytest.approx(0.0001)
    assert p_value(flat, 0.01) == pytest.approx(0.9999)


def test_the_standard_error_is_read_back() -> None:
    assert confidence.standard_error(student(0, 1, 10**6)) == pytest.approx(1, rel=1e-3)
