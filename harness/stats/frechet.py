"""The Fréchet distance between Gaussians fitted to two sets of features (Dowson & Landau 1982; Heusel et al. 2017).

    D = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½

With any factor F Fᵀ = Σ₁ the last trace is the sum of the roots of the eigenvalues of Fᵀ Σ₂ F, and the sum of the
singular values of F₁ᵀ F₂. The first form, with Cholesky's factor, is fast; the second loses no digits to small
eigenvalues. So the first is taken where its error is surely negligible, and the second elsewhere: exact for singular
matrices, no complex numbers, no added epsilon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_TRUSTED = 1e-9
"""Roots of eigenvalues are trusted if what rounding may have done to their sum is below this share of it."""
_EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and covariance (d, d; divided by n − 1) of features."""

    mean: Floats
    covariance: Floats

    @property
    def spread(self) -> float:
        """Total variance: the distance to the same set collapsed onto its mean."""
        return float(np.trace(self.covariance))


def checked(features: ArrayLike) -> Floats:
    """Return features (n, d) as float64; ValueError for fewer than two rows or values that are not finite."""
    values = np.asarray(features, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("a covariance needs at least two images")
    if not np.isfinite(values).all():
        raise ValueError("features must be finite")
    return values


def moments(features: ArrayLike) -> Moments:
    """Return the moments of features (n, d); ValueError for fewer than two rows or values that are not finite."""
    values = checked(features)
    mean = values.mean(axis=0)
    centred = values - mean
    return Moments(mean, centred.T @ centred / (len(values) - 1))


def root(covariance: Floats) -> Floats:
    """Return a factor F (d, rank) of a covariance (d, d), F Fᵀ = Σ, without the null directions."""
    values, vectors = np.linalg.eigh(covariance)
    kept = values > max(len(values) * _EPSILON * float(values[-1]), 0.0)
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))


def cross_traces(first: Floats, second: Floats) -> Floats:
    """Return tr (Σ₁^½ Σ₂ Σ₁^½)^½ (k,) of pairs of covariances, both (k, d, d)."""
    products, definite = np.zeros(second.shape), np.zeros(len(second), dtype=bool)
    for index, pair in enumerate(zip(first, second, strict=True)):
        definite[index] = _multiply(*pair, products[index])
    sums, trusted = _sum_of_roots(np.linalg.eigvalsh(products, UPLO="L"))
    for doubtful in np.flatnonzero(~(trusted & definite)):
        sums[doubtful] = _exactly(first[doubtful], second[doubtful])
    return sums


def _multiply(first: Floats, second: Floats, out: Floats) -> bool:
    """Write the lower triangle of Fᵀ Σ₂ F, F being Cholesky's factor of Σ₁; return whether Σ₁ is definite."""
    from scipy.linalg.lapack import dpotrf, dsygst

    factor, failed = dpotrf(first, lower=1)
    if not failed:
        out[:] = dsygst(second, factor, itype=2, lower=1)[0]  # a fourth of the work of two products
    return not failed


def _exactly(first: Floats, second: Floats) -> float:
    return float(np.linalg.svd(root(first).T @ root(second), compute_uv=False).sum())


def _sum_of_roots(values: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the sums of roots of eigenvalues (…, d), and which of them rounding has left untouched.

    An eigenvalue λ is known to ε·λ_max, so its root to ε·λ_max / √λ, and never worse than √(ε·λ_max).
    """
    kept = np.maximum(np.asarray(values, dtype=np.float64), 0.0)
    roots, noise = np.sqrt(kept), _EPSILON * kept.max(axis=-1, keepdims=True, initial=0.0)
    unsure = np.divide(noise, roots, out=np.sqrt(noise) + np.zeros_like(roots), where=kept > noise)
    sums = roots.sum(axis=-1)
    return sums, np.asarray(unsure.sum(axis=-1) <= _TRUSTED * sums)


def nuclear_norm(matrix: Floats) -> float:
    """Return the sum of the singular values of a matrix (n, m) that is centred along its first axis.

    Centred rows have a null direction: the smallest of n singular values is rounding and left out.
    """
    tall = len(matrix) > matrix.shape[1]
    values = np.linalg.eigvalsh(matrix.T @ matrix if tall else matrix @ matrix.T)
    total, trusted = _sum_of_roots(values if tall else values[1:])
    return float(total) if trusted else float(np.linalg.svd(matrix, compute_uv=False).sum())


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet distance between two Gaussians given by their moments; never negative."""
    apart = first.mean - second.mean
    cross = float(cross_traces(first.covariance[None], second.covariance[None])[0])
    return max(0.0, float(apart @ apart + first.spread + second.spread - 2 * cross))


def feature_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Fréchet distance between two sets of features (n, d) and (m, d).

    With no more images than dimensions the centred features are the factors, and the trace is an n × m problem instead
    of d × d: tr (Σ₁^½ Σ₂ Σ₁^½)^½ = ‖X₁ X₂ᵀ‖_* / √((n−1)(m−1)). Raises ValueError as `moments` does.
    """
    x, y = checked(first), checked(second)
    if min(len(x), len(y)) > x.shape[1]:
        return frechet_distance(moments(x), moments(y))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a, b = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    apart = mean_x - mean_y
    return max(0.0, float(apart @ apart + np.sum(a * a) + np.sum(b * b) - 2 * nuclear_norm(a @ b.T)))
