"""Holm, fewest prompts, shares, power, the Pareto front and latency summaries."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.stats.clopper_pearson import share_lower, share_upper
from harness.stats.confidence import normal_quantiles
from harness.stats.latency import speedup, summarise_latency
from harness.stats.noninferiority import holm_shares, least_prompts
from harness.stats.pareto import pareto_front
from harness.stats.power import prompts_needed

P_VALUES = st.dictionaries(st.integers(0, 20), st.floats(0, 1), min_size=1, max_size=8)


@given(P_VALUES, st.floats(0.01, 0.2))
def test_holm_shares_decide_as_holms_procedure_does(p_values: dict[int, float], alpha: float) -> None:
    rejected = set()
    ordered = sorted(p_values, key=lambda key: p_values[key])
    for rank, key in enumerate(ordered):
        if p_values[key] > alpha * (1 / (len(ordered) - rank)):
            break
        rejected.add(key)
    shares = holm_shares(p_values, lambda key, share: p_values[key] <= alpha * share)
    assert {key for key, p in p_values.items() if p <= alpha * shares[key]} == rejected


def test_holm_keeps_the_error_rate_of_the_family() -> None:
    """Ten cells exactly at the margin: none may pass in 95 % of sweeps."""
    rng = np.random.default_rng(0)
    wrong = 0
    for _ in range(4000):
        p_values = rng.uniform(size=10)
        shares = holm_shares(range(10), lambda key, share, p=p_values: p[key] <= 0.05 * share)
        wrong += any(p_values[key] <= 0.05 * shares[key] for key in range(10))
    assert wrong / 4000 <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / 4000)


def test_the_rule_of_three() -> None:
    assert least_prompts(0.05, 0.05) == 59
    assert 0.95**59 <= 0.05 < 0.95**58
    assert least_prompts(0.05, 0.05 / 13) == 109


@pytest.mark.parametrize(("count", "n"), [(0, 256), (3, 256), (256, 256), (1, 2)])
def test_clopper_pearson_agrees_with_scipy(count: int, n: int) -> None:
    from scipy.stats import binomtest

    found = binomtest(count, n).proportion_ci(0.9, method="exact")
    assert share_upper(count, n) == pytest.approx(found.high)
    assert share_lower(count, n) == pytest.approx(found.low, abs=1e-12)


def test_clopper_pearson_covers_at_least_its_level() -> None:
    counts = np.random.default_rng(0).binomial(100, 0.03, 2000)
    assert np.mean([share_upper(int(count), 100) >= 0.03 for count in counts]) >= 0.95 - 0.01


def test_a_share_needs_a_count_within_n() -> None:
    with pytest.raises(ValueError, match="not a share"):
        share_upper(3, 2)


@pytest.mark.parametrize(
    ("distance", "sd", "needed"), [(0.05 * 31.75, 2.0, 14), (0.01 * 31.75, 2.0, 340), (0.01, 0.08, 549)]
)
def test_planned_prompts_are_those_of_the_quality_page(distance: float, sd: float, needed: int) -> None:
    assert prompts_needed(distance, sd / np.sqrt(100), 100, 0.95) == pytest.approx(needed, abs=1)


def test_planned_prompts_reach_the_promised_power() -> None:
    needed = prompts_needed(0.03, 0.02, 100, 0.95)
    assert needed is not None
    error = 0.02 * np.sqrt(100 / needed)
    estimates = np.random.default_rng(0).normal(0.02, error, 20_000)
    assert np.mean(estimates + normal_quantiles(0.95) * error < 0.05) == pytest.approx(0.9, abs=0.01)


def test_an_estimate_on_the_margin_needs_no_number() -> None:
    assert prompts_needed(0.0, 0.01, 100, 0.95) is None
    assert prompts_needed(1e-9, 0.01, 100, 0.95) is None


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_the_front_is_what_nothing_beats(pairs: list[tuple[int, int]]) -> None:
    points = {i: (float(x), float(y)) for i, (x, y) in enumerate(pairs)}
    front = pareto_front(points)

    def beaten(key: int) -> bool:
        x, y = points[key]
        return any(a <= x and b <= y and (a, b) != (x, y) for a, b in points.values())

    assert set(front) == {key for key in points if not beaten(key)}
    assert all(points[a] <= points[b] for a, b in itertools.pairwise(front))


def test_a_latency_summary_is_robust_and_holds_its_samples() -> None:
    found = summarise_latency([0.1, 0.11, 0.12, 0.1, 5.0])
    assert found.median_s.estimate == pytest.approx(0.11)
    assert found.mad_s == pytest.approx(0.01)
    assert found.median_s.low >= 0.1
    assert found.p95_s > 1
    assert summarise_latency([0.5]).median_s.high == 0.5
    with pytest.raises(ValueError, match="no latency"):
        summarise_latency([])


def test_the_interval_of_a_median_covers() -> None:
    rng = np.random.default_rng(0)
    covered = [summarise_latency(rng.exponential(1, 60), resamples=500).median_s for _ in range(300)]
    assert np.mean([found.low <= np.log(2) <= found.high for found in covered]) == pytest.approx(0.95, abs=0.03)


def test_a_speedup_is_baseline_over_candidate() -> None:
    found = speedup([2.0, 2.1, 1.9], [1.0, 1.05, 0.95])
    assert found.estimate == pytest.approx(2)
    assert found.low < 2 < found.high
