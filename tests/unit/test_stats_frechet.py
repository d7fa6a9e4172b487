"""The Fréchet distance and the jackknife of its change."""

import numpy as np
import pytest

from harness.stats.confidence import fold, lower_bound, upper_bound
from harness.stats.frechet import (
    FixedReference,
    LeaveOuts,
    Reference,
    feature_distance,
    frechet_distance,
    moments,
    root,
)
from harness.stats.jackknife import (
    BLOCKS,
    assign_blocks,
    corrected_ratio,
    jackknife,
    standard_error,
)
from tests.builders.cases import slow_but_first
from tests.builders.scenarios import KINDS, TRUE, draw_features
from tests.builders.simulations import deviation, rates, simulate_frechet

TRIALS = 300
MOST_OF_100 = 0.992
"""How often a 95 % interval covers at 100 prompts, at most: where only noise widened the features."""


def test_identical_sets_are_at_distance_zero() -> None:
    x = np.random.default_rng(0).normal(size=(200, 16))
    assert frechet_distance(moments(x), moments(x)) == pytest.approx(0, abs=1e-9)
    assert feature_distance(x[:10], x[:10]) == pytest.approx(0, abs=1e-9)


def test_singular_and_constant_sets_have_a_distance() -> None:
    x = np.random.default_rng(0).normal(size=(400, 8))
    x[:, 5:] = 0
    collapsed = np.tile(x.mean(axis=0), (400, 1))
    assert feature_distance(x, collapsed) == pytest.approx(moments(x).spread, rel=1e-9)
    assert feature_distance(x, x + np.array([3.0, *[0.0] * 7])) == pytest.approx(9, rel=1e-9)


def test_few_images_give_the_same_distance() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 64)), rng.normal(size=(50, 64)) * 1.2
    assert feature_distance(x, y) == pytest.approx(frechet_distance(moments(x), moments(y)), rel=1e-6)


def test_moments_refuse_what_has_none() -> None:
    with pytest.raises(ValueError, match="two images"):
        moments(np.ones((1, 4)))
    with pytest.raises(ValueError, match="finite"):
        moments(np.array([[1.0, np.nan], [0.0, 1.0]]))


def by_sqrtm(x: np.ndarray, y: np.ndarray) -> float:
    """The textbook formula, as pytorch-fid computes it."""
    from scipy.linalg import sqrtm

    first, second = np.cov(x.T), np.cov(y.T)
    apart = x.mean(axis=0) - y.mean(axis=0)
    cross = np.trace(sqrtm(first @ second).real)
    return float(apart @ apart + np.trace(first) + np.trace(second) - 2 * cross)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.5])
def test_it_is_the_distance_by_sqrtm(decay: float) -> None:
    """Flat to steep spectra: eigenvalues over nine powers of ten, as Inception's are over six."""
    rng = np.random.default_rng(0)
    scale = (1 + np.arange(128.0)) ** -(decay * 1.5)
    x, y = rng.normal(size=(400, 128)) * scale, rng.normal(size=(300, 128)) * scale * 1.1 + 0.1 * scale
    assert feature_distance(x, y) == pytest.approx(by_sqrtm(x, y), rel=1e-6)


@pytest.mark.parametrize("n", [40, 400])
def test_singular_covariances_lose_no_digits(n: int) -> None:
    """Dead features, copies of features, and images that occur twice: ranks far below the dimensions."""
    rng = np.random.default_rng(0)
    low = rng.normal(size=(2, n, 6))
    padded = [np.concatenate([part, part[:, :3] * 2, np.zeros((n, 91))], axis=1) for part in (low[0], low[1] * 1.3)]
    small = [np.concatenate([part, part[:, :3] * 2], axis=1) for part in (low[0], low[1] * 1.3)]
    turned = np.linalg.qr(rng.normal(size=(100, 100)))[0]
    x, y = (part @ turned for part in padded)
    roots = [np.linalg.eigh(np.cov(part.T)) for part in small]
    first, second = (vectors * np.sqrt(np.maximum(values, 0)) for values, vectors in roots)
    spreads = sum(np.trace(np.cov(part.T)) for part in small)
    apart = small[0].mean(axis=0) - small[1].mean(axis=0)
    direct = apart @ apart + spreads - 2 * np.linalg.svd(first.T @ second, compute_uv=False).sum()
    assert feature_distance(x, y) == pytest.approx(direct, rel=1e-6)
    assert feature_distance(np.repeat(x, 3, axis=0), np.repeat(x, 3, axis=0)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("n", "d"), [(90, 12), (61, 60), (60, 60), (30, 600)])
def test_leave_outs_equal_distances_of_what_is_left(n: int, d: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(n, d)), rng.normal(size=(n, d)) + 0.2
    block = assign_blocks(n, 5)
    found = Reference(y, block).measure(x).distances
    direct = [feature_distance(x, y)] + [feature_distance(x[block != i], y[block != i]) for i in range(5)]
    assert found == pytest.approx(direct, rel=1e-9)
    fixed = FixedReference.of(y, block).measure(x).distances
    direct = [feature_distance(x, y)] + [feature_distance(x[block != i], y) for i in range(5)]
    assert fixed == pytest.approx(direct, rel=1e-6)
    spreads = [y[rows].var(axis=0, ddof=1).sum() for rows in LeaveOuts(y, block).kept]
    assert Reference(y, block).spreads == pytest.approx(spreads)


def test_leave_outs_have_the_moments_of_what_is_left() -> None:
    x = np.random.default_rng(0).normal(5, 1, size=(60, 4))
    block = assign_blocks(60, 3)
    found = LeaveOuts(x, block)
    assert np.allclose(found.covariance(2), np.cov(x[block != 1].T))
    assert np.allclose(found.centre + found.offsets[2], x[block != 1].mean(axis=0))


@pytest.mark.parametrize("d", [8, 300])
def test_an_identical_candidate_changes_nothing_at_all(d: int) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 100, d))
    against = Reference(y, assign_blocks(100))
    assert against.measure(x).distances == pytest.approx(against.measure(x.copy()).distances, rel=1e-9)
    assert against.measure(y).distances == pytest.approx(0, abs=1e-9 * d)


def test_blocks_are_even_and_complete() -> None:
    block = assign_blocks(103)
    sizes = np.bincount(block)
    assert len(sizes) == BLOCKS
    assert sizes.max() - sizes.min() <= 1
    assert len(np.unique(assign_blocks(7))) == 7


def test_the_jackknife_of_a_mean_is_the_standard_error() -> None:
    x = np.random.default_rng(0).normal(size=400)
    replicates = [np.delete(x, i).mean() for i in range(400)]
    assert standard_error(replicates) == pytest.approx(x.std(ddof=1) / 20)
    found = corrected_ratio([x.mean(), *replicates], [2.0])
    assert found == pytest.approx((x.mean() / 2, x.std(ddof=1) / 40, 400))


@pytest.mark.filterwarnings("error")
def test_a_single_ratio_has_an_unknown_error() -> None:
    assert corrected_ratio([3.0], [2.0]) == (1.5, np.inf, 1)


@pytest.mark.parametrize("n", slow_but_first([100, 500]))
@pytest.mark.parametrize(
    ("kind", "real"), slow_but_first([*((kind, False) for kind in KINDS), ("moved", True), ("shrunk", True)])
)
def test_coverage_and_false_passes_of_a_frechet_change(kind: str, real: bool, n: int) -> None:
    drawn = simulate_frechet(kind, real)(n, TRIALS)
    found, slack = rates(drawn), 2 * deviation(0.05, TRIALS)
    print(f"\n{kind} {real} n={n}: {found}")
    # 100 prompts are few for a covariance: there the jackknife's error is too large, which errs on the safe side
    assert 0.93 - slack <= found.covered <= (0.97 + 2 * deviation(0.97, TRIALS) if n == 500 else MOST_OF_100)
    assert found.passed <= 0.05 + slack


def test_uncorrected_change_would_pass_lost_variety() -> None:
    """Why the bias correction: a narrower candidate has less small-sample bias and looks better than it is."""
    rng = np.random.default_rng(0)
    plain, mended = [], []
    for _ in range(60):
        drawn = draw_features(rng, 100, KINDS["shrunk"], np.sqrt(TRUE), 32)
        against = Reference(drawn.reference, assign_blocks(100))
        before, after = against.measure(drawn.baseline).distances, against.measure(drawn.candidate).distances
        plain.append((after - before)[0] / (against.spreads - before)[0])
        mended.append(corrected_ratio(after - before, against.spreads - before).value)
    assert np.mean(plain) < 0.04
    assert np.mean(mended) == pytest.approx(TRUE, abs=0.004)


def test_a_two_sided_change_counts_either_way() -> None:
    folded = fold(jackknife(-0.08, np.linspace(-0.081, -0.079, 20)))
    assert lower_bound(folded, 0.95) > 0.05
    assert upper_bound(folded, 0.95) > 0.08


def test_the_root_is_a_root() -> None:
    x = np.random.default_rng(0).normal(size=(50, 6))
    x[:, 5] = x[:, 0]
    covariance = np.cov(x.T)
    assert root(covariance).shape == (6, 5)
    assert np.allclose(root(covariance) @ root(covariance).T, covariance)
