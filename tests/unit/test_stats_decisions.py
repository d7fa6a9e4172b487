"""Holm, fewest prompts, shares, power, the Pareto front and latency summaries."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.core.units import Absent
from harness.stats.confidence import normal_quantiles
from harness.stats.latency import compute_latency
from harness.stats.noninferiority import holm_shares, least_prompts, prompts_needed
from harness.stats.pareto import pareto_front
from harness.stats.proportions import share_lower, share_upper

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


def test_a_latency_is_robust_and_blocks_are_its_unit() -> None:
    found = compute_latency([[0.1, 0.11], [0.12], [0.1, 5.0]])
    assert (found.calls, found.blocks, found.median_s.estimate) == (5, 3, pytest.approx(0.11))
    assert found.median_s.low < 0.1 < 0.11 < found.median_s.high
    assert found.p95_s > 1
    alike = compute_latency([[0.1] * 9, [0.12] * 9]).median_s
    assert alike.high / alike.low > compute_latency([[0.1, 0.12] * 9]).median_s.high / 0.1, (
        "two blocks, not eighteen calls"
    )
    with pytest.raises(ValueError, match="no latency"):
        compute_latency([])


def test_one_call_has_no_interval_and_says_so() -> None:
    found = compute_latency([[0.5]])
    assert (found.median_s.low, found.median_s.high) == (0.5, 0.5)
    assert "no interval" in found.median_s.method
    assert isinstance(found.spread, Absent)


@pytest.mark.parametrize(("blocks", "calls"), [(40, 1), (12, 5), (8, 3)])
def test_the_interval_of_a_median_covers(blocks: int, calls: int) -> None:
    rng = np.random.default_rng(0)
    drawn = (compute_latency(rng.lognormal(0, 0.3, (blocks, calls)).tolist()).median_s for _ in range(300))
    assert np.mean([found.low <= 1 <= found.high for found in drawn]) >= 0.93
