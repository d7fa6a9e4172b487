"""Paired proportions: the score interval against its own likelihood, known cases, and simulated error rates."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from harness.stats.confidence import lower_bound, upper_bound
from harness.stats.proportions import _restricted, difference
from tests.builders.cases import slow_but_first


def test_restricted_estimate_is_most_likely() -> None:
    lost, gained, pairs, delta = 9.0, 4.0, 80.0, 0.03

    def surprise(gain: float) -> float:
        loss, rest = gain + delta, 1 - 2 * gain - delta
        return -(lost * np.log(loss) + gained * np.log(gain) + (pairs - lost - gained) * np.log(rest))

    best = minimize_scalar(surprise, bounds=(1e-9, 0.4), method="bounded", options={"xatol": 1e-10}).x
    assert _restricted(np.array([delta]), lost, gained, pairs)[0] == pytest.approx(best, abs=1e-6)


@pytest.mark.parametrize("pairs", [59, 256, 3000])
def test_no_change_is_bounded_as_by_wilson(pairs: int) -> None:
    z = 1.6448536
    assert upper_bound(difference(0, 0, pairs), 0.95) == pytest.approx(z**2 / (pairs + z**2), rel=1e-3)
    assert lower_bound(difference(0, 0, pairs), 0.95) == pytest.approx(-(z**2) / (pairs + z**2), rel=1e-3)


def test_losses_and_gains_swapped_turn_the_sign() -> None:
    first, second = difference(12, 3, 100), difference(3, 12, 100)
    assert np.allclose(first.quantiles, -np.asarray(second.quantiles)[::-1], atol=1e-9)
    assert upper_bound(first, 0.5) == pytest.approx(0.09, abs=0.005)


@pytest.mark.parametrize(("lost", "gained", "pairs"), [(-1, 0, 10), (6, 5, 10), (0, 0, 0)])
def test_impossible_counts_are_refused(lost: float, gained: float, pairs: float) -> None:
    with pytest.raises(ValueError, match="lost"):
        difference(lost, gained, pairs)


@pytest.mark.parametrize(
    ("pairs", "right", "gain"),
    slow_but_first([(100, 0.97, 0.0), (256, 0.97, 0.01), (256, 0.6, 0.05), (1000, 0.97, 0.02)]),
)
def test_simulated_rates_at_a_true_loss_of_the_margin(pairs: int, right: float, gain: float) -> None:
    """A true loss of 5 % of the correct images passes at most 5 % of the time; 95 % intervals cover it."""
    lost = 0.05 * right + gain
    rng, trials = np.random.default_rng(pairs), 1000
    counts = rng.multinomial(pairs, [right - lost, lost, gain, 1 - right - gain], size=trials)
    passed = covered = 0
    for both, only_before, only_after, _ in counts:
        span = (both + only_before) / pairs
        found = difference(only_before, only_after, pairs)
        passed += upper_bound(found, 0.95) / span < 0.05
        covered += lower_bound(found, 0.975) / span <= 0.05 <= upper_bound(found, 0.975) / span
    assert passed / trials < 0.065  # 5 % and two standard deviations of the simulation
    assert 0.93 < covered / trials < 0.99
