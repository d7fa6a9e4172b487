"""Group-sequential levels: textbook constants, the level kept in simulation, p-values inverse to levels."""

import numpy as np
import pytest

from harness.stats.confidence import normal_quantiles
from harness.stats.sequential import bounds, nominal_alpha, stopping

ANALYSES = (64, 128, 256, 512)


def test_one_look_is_a_plain_test() -> None:
    for interim_analyses in ((), (100,)):
        assert nominal_alpha(0.05, interim_analyses, 100) == 0.05


@pytest.mark.parametrize(
    ("interim_analyses", "pocock", "obrien_fleming"), [(2, 2.178, 1.977), (5, 2.413, 2.040), (10, 2.555, 2.087)]
)
def test_constants_of_jennison_and_turnbull(interim_analyses: int, pocock: float, obrien_fleming: float) -> None:
    """Tables 2.1 and 2.3, two-sided 5 %: one side of them spends 2.5 % to the last digit of the constant."""
    equal = tuple(range(1, interim_analyses + 1))
    for constant, shape in (
        (pocock, np.ones(interim_analyses)),
        (obrien_fleming, np.sqrt(interim_analyses / np.array(equal))),
    ):
        low, high = (stopping((constant + d) * shape, equal).sum() for d in (6e-4, -6e-4))
        assert low < 0.025 < high


def test_boundaries_follow_pocock_spending() -> None:
    """Lan & DeMets with five equal looks and one-sided 2.5 %: 2.438, 2.427, 2.410, 2.397, 2.386."""
    assert bounds(0.025, (1, 2, 3, 4, 5)) == pytest.approx([2.438, 2.427, 2.410, 2.397, 2.386], abs=1e-3)


@pytest.mark.parametrize("alpha", [0.05, 0.05 / 13])
def test_the_level_is_kept(alpha: float) -> None:
    """A walk exactly on the margin is passed at any of the looks with probability alpha."""
    trials = 400_000
    rng = np.random.default_rng(0)
    steps = np.diff(np.array(ANALYSES), prepend=0)
    limits = -normal_quantiles([nominal_alpha(alpha, ANALYSES, analysis) for analysis in ANALYSES])
    walk = np.zeros(trials)
    passed = np.zeros(trials, dtype=bool)
    for step, analysis, limit in zip(steps, ANALYSES, limits, strict=True):
        walk += rng.normal(0, np.sqrt(step), trials)
        passed |= walk / np.sqrt(analysis) > limit
    print(f"\nlevel {alpha:.4f}: {passed.mean():.5f}")
    assert passed.mean() == pytest.approx(alpha, abs=min(1e-3, 3 * np.sqrt(alpha / trials)))


def test_power_is_spent_early_and_follows_the_drift() -> None:
    limits = bounds(0.05, ANALYSES)
    found = stopping(limits, ANALYSES, drift=3.5)
    rng = np.random.default_rng(0)
    steps = rng.normal(0, np.sqrt(np.diff(ANALYSES, prepend=0)), (100_000, 4))
    z = steps.cumsum(axis=1) / np.sqrt(ANALYSES) + 3.5 * np.sqrt(np.array(ANALYSES) / ANALYSES[-1])
    first = np.where((z > limits).any(axis=1), (z > limits).argmax(axis=1), 4)
    assert found == pytest.approx(np.bincount(first, minlength=5)[:4] / len(z), abs=5e-3)
    assert found.sum() > 0.9


def test_levels_rise_with_alpha() -> None:
    levels = np.array(
        [[nominal_alpha(a, ANALYSES, analysis) for analysis in ANALYSES] for a in np.geomspace(1e-4, 0.99, 40)]
    )
    assert (np.diff(levels, axis=0) > 0).all()


def test_prompts_between_looks_are_tested_as_the_next() -> None:
    assert nominal_alpha(0.05, ANALYSES, 100) == nominal_alpha(0.05, ANALYSES, 128)
    with pytest.raises(ValueError, match="more than the last look"):
        nominal_alpha(0.05, ANALYSES, 513)
    with pytest.raises(ValueError, match="must rise"):
        nominal_alpha(0.05, (64, 64), 64)


def test_many_close_looks_are_resolved() -> None:
    interim_analyses = tuple(range(500, 1001, 25))
    assert stopping(bounds(0.05, interim_analyses), interim_analyses).sum() == pytest.approx(0.05, abs=1e-9)
    assert nominal_alpha(0.05, interim_analyses, 1000) < 0.05
