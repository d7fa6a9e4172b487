"""The share of odd images beyond the baseline's own: the bootstrap by hand, and simulated error rates."""

import numpy as np
import pytest

from harness.stats.bootstrap import resampled_counts
from harness.stats.confidence import upper_bound
from harness.stats.proportions import QUANTILE, _lost, excess, threshold
from tests.builders.cases import slow_but_first


def plain_loss(before: np.ndarray, after: np.ndarray) -> float:
    limit = np.sort(before, axis=None)[int(np.ceil(QUANTILE * before.size)) - 1]
    shares = [(values > limit).mean() for values in (before, after)]
    return float((shares[1] - shares[0]) / (1 - shares[0]))


@pytest.mark.parametrize("seeds", [1, 3])
def test_resamples_are_those_of_a_plain_loop(seeds: int) -> None:
    rng = np.random.default_rng(0)
    before, after = rng.exponential(1, (40, seeds)), rng.exponential(1.4, (40, seeds))
    counts = next(resampled_counts(40, 20, 3))
    owner, ordered = np.argsort(before, axis=None) // seeds, np.sort(before, axis=None)
    found = _lost(counts, owner, np.searchsorted(ordered, after))
    rows = [np.repeat(np.arange(40), drawn.astype(int)) for drawn in counts]
    assert found == pytest.approx([plain_loss(before[chosen], after[chosen]) for chosen in rows])


def test_identical_images_are_no_odder() -> None:
    before = np.random.default_rng(0).exponential(1, (300, 1))
    found = excess(before, before, 500)
    assert found.value == pytest.approx(0, abs=1e-12)
    assert upper_bound(found.distribution, 0.999) == pytest.approx(0, abs=1e-12)
    assert (before > threshold(before)).mean() == pytest.approx(1 - QUANTILE, abs=0.004)


def test_a_tenth_destroyed_is_a_loss_of_a_tenth() -> None:
    before = np.random.default_rng(0).exponential(1, (1000, 1))
    after = before.copy()
    after[:100] = 99
    found = excess(before, after, 500)
    assert found.value == pytest.approx(0.1, abs=0.01)
    assert found.interval.low < 0.1 < found.interval.high


@pytest.mark.parametrize("prompts", slow_but_first([100, 400]))
def test_false_passes_at_the_margin_keep_alpha(prompts: int) -> None:
    """Images are as odd as the baseline's, but one in twenty is destroyed."""
    rng, trials, passed = np.random.default_rng(prompts), 300, 0
    for _ in range(trials):
        before = np.exp(rng.normal(0, 0.5, (prompts, 1)))
        after = before * np.exp(rng.normal(0, 0.02, (prompts, 1)))
        after[rng.random(prompts) < 0.05] = 99
        passed += upper_bound(excess(before, after, 400).distribution, 0.95) < 0.05
    assert passed / trials < 0.085  # 6 % at most in large simulations, and two standard deviations of this one
