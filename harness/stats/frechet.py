"""The Fréchet distance between Gaussians fitted to two sets of features (Dowson & Landau 1982; Heusel et al. 2017).

    D = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½

The last trace comes from symmetric eigenproblems in float64 rather than from a general matrix square root: exact
for singular matrices, no complex numbers, no added epsilon.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean (d,) and covariance (d, d; divided by n − 1) of n features."""

    mean: Floats
    covariance: Floats
    n: int

    @property
    def spread(self) -> float:
        """Total variance: the distance to the same set collapsed onto its mean."""
        return float(np.trace(self.covariance))


def moments(features: ArrayLike) -> Moments:
    """Return the moments of features (n, d); ValueError for fewer than two rows or values that are not finite."""
    values = np.asarray(features, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("a covariance needs at least two images")
    if not np.isfinite(values).all():
        raise ValueError("features must be finite")
    centred = values - values.mean(axis=0)
    return Moments(values.mean(axis=0), centred.T @ centred / (len(values) - 1), len(values))


def root(covariance: Floats) -> Floats:
    """Return the symmetric square root of covariances (…, d, d); rounding below zero counts as zero."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0))[..., None, :]) @ np.swapaxes(vectors, -1, -2))


def cross_trace(first_root: Floats, second: Floats) -> Floats:
    """Return tr (R Σ R)^½ for square roots R and covariances Σ, both (…, d, d)."""
    product = first_root @ second @ first_root
    values = np.linalg.eigvalsh((product + np.swapaxes(product, -1, -2)) / 2)
    return np.asarray(np.sqrt(np.maximum(values, 0)).sum(axis=-1))


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet distance between two Gaussians given by their moments; never negative."""
    apart = first.mean - second.mean
    cross = float(cross_trace(root(first.covariance), second.covariance))
    return max(0.0, float(apart @ apart + first.spread + second.spread - 2 * cross))


def feature_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Fréchet distance between two sets of features (n, d) and (m, d).

    With fewer images than dimensions the cross trace is the nuclear norm of the product of the centred features,
    an n × m problem instead of d × d: tr (Σ₁^½ Σ₂ Σ₁^½)^½ = ‖X₁ X₂ᵀ‖_* / √((n−1)(m−1)).
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if min(len(x), len(y)) >= x.shape[1]:
        return frechet_distance(moments(x), moments(y))
    if min(len(x), len(y)) < 2:
        raise ValueError("a covariance needs at least two images")
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a, b = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    cross = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    apart = mean_x - mean_y
    return max(0.0, float(apart @ apart + np.sum(a * a) + np.sum(b * b) - 2 * cross))
