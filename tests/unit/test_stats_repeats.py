"""Warm-up, outliers, two levels and drift of timed calls: seldom seen where there is none, and seen where there is."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.stats.latency_diagnostics import drift, modes, outliers
from harness.stats.steady_state import steady_from
from tests.builders.timed_pairs import latencies

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
Series = Callable[[np.random.Generator, int], Floats]
RUNS = 200


def normal(rng: np.random.Generator, n: int) -> Floats:
    return np.exp(0.03 * rng.standard_normal(n))


def skewed(rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(1 + 0.05 * rng.gamma(2, 1, n))


def heavy(rng: np.random.Generator, n: int) -> Floats:
    return normal(rng, n) * np.where(rng.random(n) < 0.05, 3.0, 1.0)


def even(rng: np.random.Generator, n: int) -> Floats:
    return np.asarray(1 + 0.1 * rng.random(n))


def two_clocks(rng: np.random.Generator, n: int) -> Floats:
    return np.exp(0.01 * rng.standard_normal(n)) * np.where(rng.random(n) < 0.4, 1.15, 1.0)


def rising(rng: np.random.Generator, n: int) -> Floats:
    return normal(rng, n) * np.linspace(1, 1.15, n)


def warming(rng: np.random.Generator, n: int) -> Floats:
    return normal(rng, n) * (1 + 0.5 * np.exp(-np.arange(n) / 2))


def rate(flagged: Callable[[Floats], object], series: Series, n: int) -> float:
    rng = np.random.default_rng(1)
    return float(np.mean([bool(flagged(series(rng, n))) for _ in range(RUNS)]))


def drifts(values: Floats) -> bool:
    return drift(np.arange(values.size), values) is not None


@pytest.mark.parametrize("n", [8, 20, 60])
@pytest.mark.parametrize("series", [normal, skewed, heavy, even])
def test_what_is_one_steady_level_is_seldom_flagged(series: Series, n: int) -> None:
    for flagged in (steady_from, modes, drifts):
        assert rate(flagged, series, n) <= 0.05


@pytest.mark.parametrize("n", [8, 20, 60])
def test_normal_noise_has_few_outliers(n: int) -> None:
    assert rate(outliers, normal, n) <= 0.05


@pytest.mark.parametrize(
    ("flagged", "series", "n", "least"),
    [
        (steady_from, warming, 20, 0.85),
        (steady_from, warming, 60, 0.99),
        (modes, two_clocks, 20, 0.95),
        (drifts, rising, 20, 0.95),
        (outliers, heavy, 60, 0.9),
    ],
)
def test_what_is_there_is_seen(flagged: Callable[[Floats], object], series: Series, n: int, least: float) -> None:
    assert rate(flagged, series, n) >= least


def test_a_drift_is_no_warm_up_and_no_second_level() -> None:
    assert rate(steady_from, rising, 20) <= 0.05
    assert rate(modes, rising, 60) <= 0.05


def test_a_wandering_clock_hardly_ever_warms_up() -> None:
    """Neighbours are alike, so that a beginning often differs by chance."""
    assert rate(steady_from, lambda rng, n: latencies("wandering", rng, n, 1)[:, 0], 20) <= 0.2


def test_steady_part_begins_where_the_level_changes() -> None:
    rng = np.random.default_rng(0)
    steps = np.concatenate([np.full(3, 1.5), np.full(4, 1.2), np.ones(23)]) * np.exp(0.01 * rng.standard_normal(30))
    assert steady_from(steps) == 7, "two levels, one after the other"
    assert steady_from(1 / steps) == 7, "a clock that slows down counts too"
    late = np.concatenate([np.full(20, 1.5), np.ones(10)]) * np.exp(0.01 * rng.standard_normal(30))
    assert steady_from(late) <= 15
    assert steady_from([1.0] * 20) == 0
    assert steady_from([5.0, 1.0, 1.0]) == 0, "too few to tell"


def test_outliers_are_places_and_either_side_counts() -> None:
    assert outliers([1.0, 1.01, 0.99, 3.0, 1.02, 1.0, 0.2]) == (3, 6)
    assert outliers([1.0] * 5 + [1.1]) == (5,)
    assert outliers([1.0] * 9) == outliers([1.0, 9.0]) == ()


def test_two_levels_are_told_with_their_shares() -> None:
    rng = np.random.default_rng(0)
    found = modes(np.exp(0.005 * rng.standard_normal(40)) * np.repeat([1.0, 1.15], [28, 12]))
    assert found is not None
    assert (found.low, found.high) == (pytest.approx(1.0, abs=0.005), pytest.approx(1.15, abs=0.005))
    assert found.low_share == 0.7
    assert modes([1.0] * 40) is None


def test_a_drift_is_told_from_end_to_end() -> None:
    at_s = np.sort(np.random.default_rng(0).random(40)) * 60
    found = drift(at_s, 0.1 * np.exp(0.1 * at_s / 60) * normal(np.random.default_rng(1), 40))
    assert found is not None
    assert found.share == pytest.approx(0.105, abs=0.03)
    assert found.p_value < 0.01
    assert drift([0.0] * 10, np.arange(1, 11)) is None
    assert drift(np.arange(10), [1.0] * 10) is None
