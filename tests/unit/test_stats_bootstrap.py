"""The studentized cluster bootstrap: known error rates, heavy tails and clusters included."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.stats import bootstrap
from harness.stats.bootstrap import cluster_means, mean, ratio, ratio_quantiles, signal_to_noise, spread_subset
from harness.stats.confidence import LEVELS, lower_bound, upper_bound

TRIALS = 2000
TRUE = 0.05
Draw = Callable[[np.random.Generator, int, int], tuple[np.ndarray, np.ndarray]]


def at(level: float) -> int:
    return int(np.argmin(np.abs(LEVELS - level)))


def normal(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """A CLIP score's drop over its range above chance."""
    return 0.5 + rng.normal(0, 1.5, (n, k)), 10 + rng.normal(0, 2, (n, k))


def heavy(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Drops with Student-t tails of 4 degrees of freedom."""
    return 0.5 + rng.standard_t(4, (n, k)), 10 + rng.standard_t(5, (n, k))


def skewed(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances as LPIPS has them: positive, with a long right tail."""
    distances = np.exp(rng.normal(0, 0.8, (n, k)) - 0.32)
    return TRUE * distances * 0.5, rng.gamma(20, 1 / 20, (n, k)) * 0.5


def clustered(rng: np.random.Generator, n: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Four seeds of a prompt that share most of their deviation."""
    shared = rng.normal(0, 1, (n, 1, k))
    drops = 0.5 + shared + rng.normal(0, 0.5, (n, 4, k))
    ranges = 10 + 0.5 * shared + rng.normal(0, 2, (n, 4, k))
    return drops.mean(axis=1), ranges.mean(axis=1)


@pytest.mark.parametrize("n", [100, 500])
@pytest.mark.parametrize("draw", [normal, heavy, skewed, clustered])
def test_coverage_and_false_passes_of_a_ratio(draw: Draw, n: int) -> None:
    rng = np.random.default_rng(n)
    covered, false_pass, trials = 0.0, 0.0, 0
    for part in range(TRIALS // 250):
        _, bounds = ratio_quantiles(*draw(rng, n, 250), resamples=2000, seed=part)
        covered += ((bounds[at(0.025)] <= TRUE) & (bounds[at(0.975)] >= TRUE)).sum()
        false_pass += (bounds[at(0.95)] < TRUE).sum()
        trials += bounds.shape[1]
    print(f"\n{draw.__name__} n={n}: coverage {covered / trials:.3f}, false pass {false_pass / trials:.3f}")
    assert 0.93 <= covered / trials <= 0.97
    deviation = np.sqrt(0.05 * 0.95 / trials)
    skew = 0.015 if draw is skewed and n == 100 else 0.005  # what is left of order 1/n under strong skew
    assert false_pass / trials <= 0.05 + 2 * deviation + skew


def test_treating_seeds_as_prompts_would_be_wrong() -> None:
    """Why clusters: with seeds counted as prompts the interval is far too narrow."""
    rng = np.random.default_rng(0)
    drops = 0.5 + rng.normal(0, 1, (100, 1)) + rng.normal(0, 0.5, (100, 4))
    width = [
        found.interval.high - found.interval.low for found in (mean(cluster_means(drops, 100)), mean(drops.ravel()))
    ]
    assert width[0] > 1.6 * width[1]


def test_a_sample_without_spread_has_bounds_without_spread() -> None:
    found = ratio(np.zeros(50), np.ones(50))
    assert found.value == found.interval.low == found.interval.high == 0


def test_one_destroyed_prompt_in_a_hundred_gives_finite_and_wide_bounds() -> None:
    values = np.zeros(100)
    values[3] = 1.0
    found = ratio(values, np.ones(100))
    assert found.value == pytest.approx(0.01)
    assert 0.03 < upper_bound(found.distribution, 0.95) < 0.1
    assert lower_bound(found.distribution, 0.95) < 0.005


def test_few_prompts_are_at_least_as_wide_as_students_t() -> None:
    from scipy.stats import t

    values = np.random.default_rng(0).normal(size=12)
    found = mean(values)
    reach = t.ppf(0.95, 11) * values.std(ddof=1) / np.sqrt(12)
    assert upper_bound(found.distribution, 0.95) >= values.mean() + reach - 1e-9
    assert lower_bound(found.distribution, 0.95) <= values.mean() - reach + 1e-9


def test_bounds_rise_with_the_level_into_the_far_tails() -> None:
    rng = np.random.default_rng(0)
    _, bounds = ratio_quantiles(rng.normal(size=(80, 3)), np.ones((80, 3)), resamples=500)
    assert (np.diff(bounds, axis=0) >= 0).all()


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    whole = mean(values, 999)
    monkeypatch.setattr(bootstrap, "_CHUNK", 6000)
    assert mean(values, 999).interval.high == pytest.approx(whole.interval.high)


def test_fewer_than_two_clusters_are_refused() -> None:
    with pytest.raises(ValueError, match="two clusters"):
        mean(np.array([1.0]))


def test_a_subset_spread_over_all_clusters_keeps_mean_and_uncertainty() -> None:
    rng = np.random.default_rng(0)
    subset = rng.normal(3, 1, 64)
    spread = spread_subset(subset, 256)
    assert spread.mean() == pytest.approx(subset.mean())
    assert spread.std(ddof=1) / 16 == pytest.approx(subset.std(ddof=1) / 8, rel=0.02)


def test_signal_to_noise_of_a_constant_is_infinite() -> None:
    assert signal_to_noise(np.ones(5)) == np.inf
    assert signal_to_noise(np.zeros(5)) == 0


@pytest.mark.parametrize("prompts", [256, 5000])
def test_ten_thousand_resamples_are_quick(prompts: int) -> None:
    import time

    values = np.random.default_rng(0).normal(size=prompts)
    mean(values, 200)
    begin = time.process_time()
    mean(values, 10_000)
    assert time.process_time() - begin < (0.5 if prompts == 256 else 4)
