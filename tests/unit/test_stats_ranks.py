"""Exact bounds of medians and ratios from few repeats: agreement with SciPy's tests, and coverage by simulation."""

import itertools

import numpy as np
import pytest
from scipy.stats import binomtest, mannwhitneyu

from harness.stats.ranks import median_lower, median_p, median_upper, ratio_lower, ratio_p, ratio_upper


@pytest.mark.parametrize(("n", "m"), [(5, 5), (1, 9), (7, 3), (12, 40)])
def test_ratios_agree_with_the_mann_whitney_test(n: int, m: int) -> None:
    rng = np.random.default_rng(n)
    above, below = rng.lognormal(0.2, size=n), rng.lognormal(size=m)
    for limit in (0.5, 1.0, 2.0):
        theirs = mannwhitneyu(above / limit, below, alternative="greater", method="exact").pvalue
        assert ratio_p(above, below, limit) == pytest.approx(theirs, rel=1e-9)


def test_many_repeats_take_the_normal_approximation() -> None:
    rng = np.random.default_rng(0)
    above, below = rng.lognormal(0.1, size=90), rng.lognormal(size=80)
    theirs = mannwhitneyu(above, below, alternative="greater", method="exact").pvalue
    assert ratio_p(above, below, 1.0) == pytest.approx(theirs, rel=0.02)


@pytest.mark.parametrize("n", [1, 4, 5, 9, 30])
def test_medians_agree_with_the_sign_test(n: int) -> None:
    samples = np.random.default_rng(n).normal(size=n)
    theirs = binomtest(int((samples < 0.3).sum()), n, 0.5, alternative="greater").pvalue
    assert median_p(samples, 0.3) == pytest.approx(theirs)


@pytest.mark.parametrize(("n", "level"), itertools.product([3, 5, 8, 20], [0.9, 0.95, 0.99]))
def test_bounds_are_where_the_test_turns(n: int, level: float) -> None:
    rng = np.random.default_rng(n)
    samples, others = rng.lognormal(size=n), rng.lognormal(size=n + 1)
    upper, lower = median_upper(samples, level), ratio_lower(samples, others, level)
    if np.isfinite(upper):
        assert median_p(samples, upper + 1e-9) <= 1 - level < median_p(samples, upper - 1e-9)
    if lower > 0:
        assert ratio_p(samples, others, lower * (1 - 1e-9)) <= 1 - level + 1e-12
        assert ratio_p(samples, others, lower * (1 + 1e-9)) > 1 - level
    assert median_lower(samples, level) == -median_upper(-samples, level)


def test_too_few_repeats_give_no_bound_rather_than_a_guess() -> None:
    assert median_upper([1.0] * 4, 0.95) == float("inf")  # 1/16 > 5 %
    assert median_upper([1.0] * 5, 0.95) == 1.0
    assert ratio_lower([2.0], [1.0] * 18, 0.95) == 0.0
    assert ratio_upper([2.0], [1.0] * 18, 0.95) == float("inf")


def test_bounds_cover_heavy_tails() -> None:
    """Log-normal latencies with outliers, five repeats each, true ratio 2."""
    rng, trials = np.random.default_rng(1), 2000
    missed = np.zeros(2)
    for _ in range(trials):
        noise = rng.lognormal(0, 0.1, (2, 5)) * np.where(rng.uniform(size=(2, 5)) < 0.1, 3.0, 1.0)
        missed += [ratio_lower(2 * noise[0], noise[1], 0.95) > 2, median_upper(noise[0], 0.95) < 1.0]
    bound = 0.05 + 2 * np.sqrt(0.05 * 0.95 / trials)
    assert (missed / trials <= bound).all(), missed / trials
