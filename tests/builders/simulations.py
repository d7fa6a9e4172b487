"""Losses found in simulated runs whose true loss is exactly the margin, and how often their intervals were right."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from harness.core.quality import Uncertainty
from harness.stats.bootstrap import ratio_quantiles
from harness.stats.confidence import fold, lower_bound, transform, uncertainty, upper_bound
from harness.stats.distance_loss import distance_loss
from harness.stats.frechet import FixedReference, Reference
from harness.stats.jackknife import assign_blocks
from harness.stats.mmd import Kernel, MmdReference
from harness.stats.proportions import difference, excess, threshold
from tests.builders.scenarios import (
    AMPLITUDE,
    FEW_KINDS,
    KINDS,
    MMD_KINDS,
    MMD_STRENGTH,
    TRUE,
    Draw,
    draw_features,
    frechet_loss,
    real_moments,
    strength_for,
)

Found = list[Uncertainty]
Simulate = Callable[[int, int], Found]
"""From prompts and trials to signed confidence distributions."""


class Rates(NamedTuple):
    """Shares of trials: nominal 95 % interval covers, cell passed at 5 % (and at 0.5 %), cell failed at 5 %."""

    covered: float
    passed: float
    passed_strictly: float
    failed: float


def rates(found: Sequence[Uncertainty]) -> Rates:
    """Return how often intervals were right if the true loss is the margin, its sign that of most estimates."""
    true = TRUE if np.median([upper_bound(one, 0.5) for one in found]) > 0 else -TRUE
    folded = [fold(one) for one in found]
    return Rates(
        covered=float(np.mean([lower_bound(one, 0.975) <= true <= upper_bound(one, 0.975) for one in found])),
        passed=float(np.mean([upper_bound(one, 0.95) < TRUE for one in folded])),
        passed_strictly=float(np.mean([upper_bound(one, 0.995) < TRUE for one in folded])),
        failed=float(np.mean([lower_bound(one, 0.95) > TRUE for one in folded])),
    )


def deviation(rate: float, trials: int) -> float:
    """Return the standard deviation of a simulated rate."""
    return float(np.sqrt(rate * (1 - rate) / trials))


def simulate_ratio(draw: Draw) -> Simulate:
    """Return the simulation of alignment and paired losses."""

    def simulate(n: int, trials: int) -> Found:
        rng, found = np.random.default_rng(n), []
        for seed in range(max(1, trials // 250)):
            _, bounds = ratio_quantiles(*draw(rng, n, min(trials, 250)), resamples=1000, seed=seed)
            found += [uncertainty(column) for column in bounds.T]
        return found

    return simulate


class Correct(NamedTuple):
    """Cells of which prompts are right or wrong: the baseline's share of right ones, and the share that is gained."""

    right: float
    gained: float = 0.0


CORRECT = {
    "97 % right": Correct(0.97),
    "97 % right, 2 % gained": Correct(0.97, 0.02),
    "60 % right": Correct(0.6),
    "60 % right, 5 % gained": Correct(0.6, 0.05),
}


def simulate_correct(kind: str) -> Simulate:
    """Return the simulation of correctness losses: each prompt right or wrong before and after."""
    right, gained = CORRECT[kind]
    lost = TRUE * right + gained

    def simulate(n: int, trials: int) -> Found:
        shares = [right - lost, lost, gained, 1 - right - gained]
        counts = np.random.default_rng(n).multinomial(n, shares, size=trials)
        return [
            transform(difference(before, after, n), lambda share, span=(both + before) / n: share / span)
            for both, before, after, _ in counts
        ]

    return simulate


ODD = ("some destroyed", "some destroyed, all redrawn", "all a little odder")


def simulate_odd(kind: str) -> Simulate:
    """Return the simulation of odd images: lognormal distances, the candidate's drawn to lose exactly the margin."""

    def drawn(rng: np.random.Generator, n: int, strength: float) -> tuple[np.ndarray, np.ndarray]:
        before = rng.normal(0, 0.5, (n, 1))
        redrawn = 0.6 * before + rng.normal(0, 0.4, (n, 1))
        if kind == ODD[2]:
            return np.exp(before), np.exp(redrawn + strength)
        own = before + rng.normal(0, 0.02, (n, 1)) if kind == ODD[0] else redrawn
        return np.exp(before), np.exp(np.where(rng.random((n, 1)) < strength, 5.0, own))

    def true_loss(strength: float) -> float:
        before, after = drawn(np.random.default_rng(0), 400_000, strength)
        limit = threshold(before)
        shares = [(values > limit).mean() for values in (before, after)]
        return float((shares[1] - shares[0]) / (1 - shares[0]))

    def simulate(n: int, trials: int) -> Found:
        strength = brentq(lambda strength: true_loss(strength) - TRUE, 0.0, 0.5, xtol=1e-3)
        rng = np.random.default_rng(n)
        return [excess(*drawn(rng, n, strength), 1000).distribution for _ in range(trials)]

    return simulate


def simulate_mean(draw: Draw) -> Simulate:
    """Return the simulation of a mean score: the same without a denominator."""

    def simulate(n: int, trials: int) -> Found:
        rng, found = np.random.default_rng(n), []
        for seed in range(max(1, trials // 250)):
            drops, _ = draw(rng, n, min(trials, 250))
            expected = TRUE * (0.5 if draw.__name__ in ("skewed", "very_skewed") else 10)
            _, bounds = ratio_quantiles(drops * TRUE / expected, np.ones_like(drops), resamples=1000, seed=seed)
            found += [uncertainty(column) for column in bounds.T]
        return found

    return simulate


def simulate_frechet(name: str, real: bool = False, dims: int = 16) -> Simulate:
    """Return the simulation of a Fréchet change, against the other seed or against real images."""
    kind = (KINDS | FEW_KINDS)[name]
    strength = strength_for(lambda x: frechet_loss(kind, x, dims, real))

    def one(rng: np.random.Generator, n: int) -> Uncertainty:
        drawn = draw_features(rng, n, kind, strength, dims)
        block = np.repeat(assign_blocks(n), kind.seeds)
        against = FixedReference(real_moments(dims), block) if real else Reference(drawn.reference, block)
        before, after = against.measure(drawn.baseline), against.measure(drawn.candidate)
        return distance_loss(before, after, against.spreads, against.missing(before), real).distribution

    return _repeated(one)


def simulate_mmd(kind: str, kernel: Kernel) -> Simulate:
    """Return the simulation of an MMD² change against the other seed."""

    def one(rng: np.random.Generator, n: int) -> Uncertainty:
        drawn = draw_features(rng, n, MMD_KINDS[kind], MMD_STRENGTH[kernel][kind])
        reference, baseline, candidate, _ = (part * AMPLITUDE[kernel] for part in drawn)
        against = MmdReference(reference, MMD_KINDS[kind].seeds, kernel)
        before, after = against.measure(baseline), against.measure(candidate)
        return distance_loss(before, after, against.spreads, against.missing(before), real=False).distribution

    return _repeated(one)


def _repeated(one: Callable[[np.random.Generator, int], Uncertainty]) -> Simulate:
    def simulate(n: int, trials: int) -> Found:
        rng = np.random.default_rng(n)
        return [one(rng, n) for _ in range(trials)]

    return simulate
