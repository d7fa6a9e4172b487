"""The studentized cluster bootstrap: known error rates, heavy tails and clusters included."""

import numpy as np
import pytest

from harness.stats import bootstrap
from harness.stats.bootstrap import (
    cluster_means,
    hall_quantiles,
    mean,
    ratio,
    ratio_quantiles,
    sample_skewness,
    signal_to_noise,
    spread_subset,
)
from harness.stats.confidence import LEVELS, lower_bound, upper_bound
from tests.builders.cases import slow_but_first
from tests.builders.scenarios import TRUE, VALUES, Draw

TRIALS = 2000


def at(level: float) -> int:
    return int(np.argmin(np.abs(LEVELS - level)))


@pytest.mark.parametrize("n", slow_but_first([100, 500]))
@pytest.mark.parametrize("draw", slow_but_first(VALUES))
def test_coverage_and_false_passes_of_a_ratio(draw: Draw, n: int) -> None:
    """At Holm's stricter levels too: that is where a sweep is decided."""
    rng = np.random.default_rng(n)
    covered, passed, trials = 0, {0.05: 0, 0.01: 0, 0.005: 0}, 0
    for part in range(TRIALS // 250):
        _, bounds = ratio_quantiles(*draw(rng, n, 250), resamples=1000, seed=part)
        covered += int(((bounds[at(0.025)] <= TRUE) & (bounds[at(0.975)] >= TRUE)).sum())
        for alpha in passed:
            passed[alpha] += int((bounds[at(1 - alpha)] < TRUE).sum())
        trials += bounds.shape[1]
    rates = {alpha: count / trials for alpha, count in passed.items()}
    print(f"\n{draw.__name__} n={n}: coverage {covered / trials:.3f}, false pass {rates}")
    slack = 2 * np.sqrt(0.05 * 0.95 / trials)
    assert 0.93 - slack <= covered / trials <= 0.97 + slack
    for alpha, rate in rates.items():
        assert rate <= alpha + 2 * np.sqrt(alpha * (1 - alpha) / trials)


def test_treating_seeds_as_prompts_would_be_wrong() -> None:
    """Why clusters: with seeds counted as prompts the interval is far too narrow."""
    rng = np.random.default_rng(0)
    drops = 0.5 + rng.normal(0, 1, (100, 1)) + rng.normal(0, 0.5, (100, 4))
    width = [
        found.interval.high - found.interval.low for found in (mean(cluster_means(drops, 100)), mean(drops.ravel()))
    ]
    assert width[0] > 1.6 * width[1]


def test_constant_sample_has_constant_bounds() -> None:
    found = ratio(np.zeros(50), np.ones(50))
    assert found.value == found.interval.low == found.interval.high == 0


def test_one_destroyed_prompt_widens_finite_bounds() -> None:
    values = np.zeros(100)
    values[3] = 1.0
    found = ratio(values, np.ones(100))
    assert found.value == pytest.approx(0.01)
    assert 0.03 < upper_bound(found.distribution, 0.95) < 0.1
    assert lower_bound(found.distribution, 0.95) < 0.005


def test_few_prompts_are_as_wide_as_student_t() -> None:
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


def test_stratified_subset_keeps_mean_and_uncertainty() -> None:
    rng = np.random.default_rng(0)
    subset = rng.normal(3, 1, 64)
    spread = spread_subset(subset, 256)
    assert spread.mean() == pytest.approx(subset.mean())
    assert spread.std(ddof=1) / 16 == pytest.approx(subset.std(ddof=1) / 8, rel=0.02)


def test_signal_to_noise_of_a_constant_is_infinite() -> None:
    assert signal_to_noise(np.ones(5)) == np.inf
    assert signal_to_noise(np.zeros(5)) == 0


def test_hall_quantiles_invert_halls_transformation() -> None:
    from scipy.stats import t

    shares, n = np.array([0.005, 0.05, 0.5, 0.95]), 80
    gamma = 1.6 * 2.0 / np.sqrt(n)
    found = hall_quantiles(shares, np.array([2.0, 0.0]), n)
    x = found[:, 0]
    assert x + gamma * x**2 / 3 + gamma**2 * x**3 / 27 + gamma / 6 == pytest.approx(t.ppf(shares, n - 1))
    assert found[:, 1] == pytest.approx(t.ppf(shares, n - 1), abs=1e-5)


def test_the_skewness_is_that_of_scipy() -> None:
    from scipy.stats import skew

    values = np.random.default_rng(0).exponential(size=(60, 2))
    assert sample_skewness(values - values.mean(axis=0)) == pytest.approx(skew(values, bias=False))
    assert sample_skewness(np.zeros((60, 1))) == 0
