"""Fréchet losses of no more images than dimensions: no promise is given that so few images cannot keep."""

import numpy as np
import pytest

from harness.stats.confidence import LEVELS, student, upper_bound
from harness.stats.distance_loss import NOTHING, WORST, allow, distance_loss
from harness.stats.frechet import FixedReference, Reference
from harness.stats.jackknife import assign_blocks
from tests.builders.cases import slow_but_first
from tests.builders.scenarios import FEW_KINDS, TRUE, Kind, draw_features, frechet_loss, strength_for
from tests.builders.simulations import deviation, rates, simulate_frechet

DIMS, FEW, TRIALS = 48, 30, 120
SLACK = 2 * deviation(0.05, TRIALS)


@pytest.mark.parametrize("kind", slow_but_first(FEW_KINDS))
def test_few_images_keep_the_promised_error_rates(kind: str) -> None:
    found = rates(simulate_frechet(kind, dims=DIMS)(FEW, TRIALS))
    print(f"\n{kind}: {found}")
    assert found.passed <= 0.05 + SLACK
    assert found.failed <= 0.05 + SLACK


@pytest.mark.parametrize("kind", slow_but_first(["shrunk", "weaker"]))
def test_few_images_pass_no_more_against_real_ones(kind: str) -> None:
    assert rates(simulate_frechet(kind, real=True, dims=DIMS)(FEW, TRIALS)).passed <= 0.05 + SLACK


def losses(kind: Kind, trials: int, mended: bool) -> list[tuple[float, bool]]:
    """Estimates of a true loss of 5 %, and whether they passed; unmended: with the jackknife alone."""
    strength = strength_for(lambda x: frechet_loss(kind, x, DIMS))
    found = []
    for seed in range(trials):
        drawn = draw_features(np.random.default_rng(seed), FEW, kind, strength, DIMS)
        against = Reference(drawn.reference, assign_blocks(FEW))
        before, after = against.measure(drawn.baseline), against.measure(drawn.candidate)
        missing = against.missing(before) if mended else NOTHING
        lost = distance_loss(before, after, against.spreads, missing, real=False)
        found.append((lost.found.value, 0 < upper_bound(lost.distribution, 0.95) < TRUE))
    return found


def test_jackknife_alone_would_pass_lost_variety() -> None:
    """Why the rest: how often 5 % of variety lost where there is little of it would pass."""
    assert np.mean([passed for _, passed in losses(Kind("weaker"), 40, mended=False)]) > 0.25


def test_correction_finds_the_loss_of_kept_shape() -> None:
    assert np.mean([loss for loss, _ in losses(Kind("shrunk"), 40, mended=True)]) == pytest.approx(TRUE, abs=0.008)
    assert np.mean([loss for loss, _ in losses(Kind("shrunk"), 40, mended=False)]) < TRUE - 0.015


def test_low_dimensional_features_miss_nothing() -> None:
    """Not the dimensions count: 60 images show all of what varies in 5 directions of 300."""
    rng = np.random.default_rng(0)
    turn = rng.normal(size=(5, 300))
    x, y = (rng.normal(size=(60, 5)) @ turn for _ in range(2))
    against, flat = Reference(y, assign_blocks(60)), Reference(rng.normal(size=(60, 300)), assign_blocks(60))
    assert against.missing(against.measure(x)).variety < 0.02
    assert flat.missing(flat.measure(rng.normal(size=(60, 300)))).variety > 0.3


def test_more_images_than_dimensions_need_no_allowance() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 60, 59))
    against = Reference(y, assign_blocks(60))
    assert against.missing(against.measure(x)) == NOTHING
    fixed = FixedReference.of(y, assign_blocks(60))
    assert fixed.missing(fixed.measure(x)) == NOTHING


def test_identical_candidate_bound_is_missing_variety() -> None:
    x, y = np.random.default_rng(0).normal(size=(2, 30, 100))
    against = Reference(y, assign_blocks(30))
    base = against.measure(x)
    missing = against.missing(base)
    lost = distance_loss(base, base, against.spreads, missing, real=False)
    assert lost.found.value == 0
    assert upper_bound(lost.distribution, 0.95) == pytest.approx((WORST * missing.variety) ** 2, rel=0.05)


@pytest.mark.parametrize("centre", [-0.1, -0.001, 0.0, 0.03, 0.4])
def test_the_allowance_is_the_worst_truth_that_fits(centre: float) -> None:
    plain = student(centre, 0.01, 19)
    wide = allow(plain, 0.2)
    assert allow(plain, 0) == plain
    truths = np.linspace(-1, 2, 300_001)
    for level in (0.95, 0.995):
        fits = truths - 0.2 * np.sqrt(np.abs(truths)) <= upper_bound(plain, level)
        assert upper_bound(wide, level) == pytest.approx(truths[fits].max(), abs=1e-4)
        fits = truths + 0.2 * np.sqrt(np.abs(truths)) >= upper_bound(plain, 1 - level)
        assert upper_bound(wide, 1 - level) == pytest.approx(truths[fits].min(), abs=1e-4)
    assert (np.diff(wide.quantiles) >= 0).all()
    assert len(wide.quantiles) == len(LEVELS)
