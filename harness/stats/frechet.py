"""The Fréchet distance between Gaussians fitted to two sets of features, and its leave-outs.

    D = |μ₁ − μ₂|² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁^½ Σ₂ Σ₁^½)^½

Dowson & Landau (1982); as the distance of image sets: Heusel et al. (2017).

With any factor F Fᵀ = Σ₁ the last trace is the sum of the roots of the eigenvalues of Fᵀ Σ₂ F, and
the sum of the singular values of F₁ᵀ F₂. The first form, with Cholesky's factor, is fast; the
second loses no digits to small eigenvalues. So the first is used where its error is surely
negligible, and the second elsewhere: exact for singular matrices, no complex numbers, no added
epsilon.

For the change of a distance between baseline and candidate, one block of prompts is left out at a
time. Candidate, baseline and (unless it is a fixed set) reference lose the same prompts, so that
shared noise cancels in the change. Work common to all leave-outs is done once: with many images the
sums of products, from which a block's are subtracted; with no more images than dimensions the
products of all pairs of images, without a block's rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.stats.distance_loss import NOTHING, MeasuredDistances, Missing, find_missing

Floats = NDArray[np.float64]

_TRUSTED = 1e-9
"""Roots of eigenvalues are trusted if rounding may have changed their sum by less than this
share."""
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
    """Return features (n, d) as float64.

    Raises ValueError for fewer than two rows or values that are not finite.
    """
    values = np.asarray(features, dtype=np.float64)
    if len(values) < 2:
        raise ValueError("a covariance needs at least two images")
    if not np.isfinite(values).all():
        raise ValueError("features must be finite")
    return values


def moments(features: ArrayLike) -> Moments:
    """Return the moments of features (n, d).

    Raises ValueError for fewer than two rows or values that are not finite.
    """
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
    """Write Fᵀ Σ₂ F (lower triangle, F Cholesky's factor of Σ₁); return whether Σ₁ is definite."""
    from scipy.linalg.lapack import dpotrf, dsygst

    factor, failed = dpotrf(first, lower=1)
    if not failed:
        out[:] = dsygst(second, factor, itype=2, lower=1)[0]  # a fourth of the work of two products
    return not failed


def _exactly(first: Floats, second: Floats) -> float:
    return float(np.linalg.svd(root(first).T @ root(second), compute_uv=False).sum())


def _sum_of_roots(values: ArrayLike) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the sums of roots of eigenvalues (…, d), and which of them are accurate.

    An eigenvalue λ is known to ε·λ_max, so its root to ε·λ_max / √λ, and never worse than
    √(ε·λ_max).
    """
    kept = np.maximum(np.asarray(values, dtype=np.float64), 0.0)
    roots, noise = np.sqrt(kept), _EPSILON * kept.max(axis=-1, keepdims=True, initial=0.0)
    unsure = np.divide(noise, roots, out=np.sqrt(noise) + np.zeros_like(roots), where=kept > noise)
    sums = roots.sum(axis=-1)
    return sums, np.asarray(unsure.sum(axis=-1) <= _TRUSTED * sums)


def nuclear_norm(matrix: Floats) -> float:
    """Return the sum of the singular values of a matrix (n, m), centred along its first axis.

    Centred rows have a null direction: the smallest of n singular values is rounding and left out.
    """
    tall = len(matrix) > matrix.shape[1]
    values = np.linalg.eigvalsh(matrix.T @ matrix if tall else matrix @ matrix.T)
    total, trusted = _sum_of_roots(values if tall else values[1:])
    return float(total) if trusted else float(np.linalg.svd(matrix, compute_uv=False).sum())


def frechet_distance(first: Moments, second: Moments) -> float:
    """Return the squared Fréchet distance between two Gaussians; never negative."""
    apart = first.mean - second.mean
    cross = float(cross_traces(first.covariance[None], second.covariance[None])[0])
    return max(0.0, float(apart @ apart + first.spread + second.spread - 2 * cross))


def feature_distance(first: ArrayLike, second: ArrayLike) -> float:
    """Return the Fréchet distance between two sets of features (n, d) and (m, d).

    With no more images than dimensions the centred features are the factors, and the trace is an n
    × m problem instead of d × d: tr (Σ₁^½ Σ₂ Σ₁^½)^½ = ‖X₁ X₂ᵀ‖_* / √((n−1)(m−1)). Raises
    ValueError as `moments` does.
    """
    x, y = checked(first), checked(second)
    if min(len(x), len(y)) > x.shape[1]:
        return frechet_distance(moments(x), moments(y))
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    a, b = (x - mean_x) / np.sqrt(len(x) - 1), (y - mean_y) / np.sqrt(len(y) - 1)
    apart = mean_x - mean_y
    return max(
        0.0, float(apart @ apart + np.sum(a * a) + np.sum(b * b) - 2 * nuclear_norm(a @ b.T))
    )


_AT_ONCE = 2**22
"""Numbers in the covariances processed as one array."""


@dataclass(frozen=True)
class LeaveOuts:
    """Features (n, d) and what remains of them without each block (`block` (n,) from 0)."""

    features: Floats
    block: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of sets: all images, then without each block."""
        return int(self.block.max()) + 2

    @cached_property
    def kept(self) -> list[NDArray[np.bool_]]:
        return [self.block != index for index in range(-1, self.count - 1)]

    @cached_property
    def sizes(self) -> Floats:
        return np.array([rows.sum() for rows in self.kept], dtype=np.float64)

    @cached_property
    def centre(self) -> Floats:
        return np.asarray(self.features.mean(axis=0))

    @cached_property
    def centred(self) -> Floats:
        return self.features - self.centre

    @cached_property
    def offsets(self) -> Floats:
        """Means (count, d) relative to the centre."""
        parts = np.stack([self.centred[~rows].sum(axis=0) for rows in self.kept])
        return np.asarray(-parts / self.sizes[:, None])

    @cached_property
    def spreads(self) -> Floats:
        """Total variances (count,)."""
        squares = np.einsum("nd,nd->n", self.centred, self.centred)
        sums = np.array([squares[rows].sum() for rows in self.kept])
        return np.asarray((sums - self.sizes * (self.offsets**2).sum(axis=1)) / (self.sizes - 1))

    @cached_property
    def _products(self) -> Floats:
        return np.asarray(self.centred.T @ self.centred)

    def covariance(self, index: int) -> Floats:
        """Return the covariance (d, d) of the index-th set."""
        size, offset = self.sizes[index], self.offsets[index]
        gone = np.vstack([self.centred[~self.kept[index]], np.sqrt(size) * offset])
        products = self._products - gone.T @ gone
        products /= size - 1
        return products


@dataclass(frozen=True)
class Reference:
    """A reference set of the same prompts, which loses each block with the candidate."""

    features: Floats
    block: NDArray[np.int64]

    @cached_property
    def _own(self) -> LeaveOuts:
        return LeaveOuts(checked(self.features), self.block)

    @property
    def spreads(self) -> Floats:
        """Total variance (blocks + 1,): the distance to the reference collapsed onto its mean."""
        return self._own.spreads

    def measure(self, features: Floats) -> MeasuredDistances:
        """Return the distances (blocks + 1,) of features (n, d): all, then without each block."""
        own, other = self._own, LeaveOuts(checked(features), self.block)
        apart = own.centre + own.offsets - other.centre - other.offsets
        few = len(features) <= features.shape[1]
        cross = self._few(other) if few else _many(other, own.covariance)
        total = np.einsum("kd,kd->k", apart, apart) + other.spreads + own.spreads - 2 * cross
        return MeasuredDistances(np.asarray(np.maximum(total, 0.0)), cross)

    def missing(self, baseline: MeasuredDistances) -> Missing:
        """Return what too few images hide: the baseline is truly at distance 0."""
        own = self._own.features
        return find_missing(baseline, self.spreads) if len(own) <= own.shape[1] else NOTHING

    def _few(self, other: LeaveOuts) -> Floats:
        pairs = other.centred @ self._own.centred.T
        found = []
        for rows, size in zip(other.kept, other.sizes, strict=True):
            left = pairs[np.ix_(rows, rows)]
            left = left - left.mean(axis=0) - left.mean(axis=1, keepdims=True) + left.mean()
            found.append(nuclear_norm(left) / (size - 1))
        return np.array(found)


@dataclass(frozen=True)
class FixedReference:
    """A reference set of real images, known by their moments; it loses no prompts."""

    moments: Moments
    block: NDArray[np.int64]

    @classmethod
    def of(cls, features: Floats, block: NDArray[np.int64]) -> "FixedReference":
        """Return the reference made of features (m, d)."""
        return cls(moments(features), block)

    @property
    def spreads(self) -> Floats:
        """Total variance (1,)."""
        return np.array([self.moments.spread])

    @cached_property
    def _root(self) -> Floats:
        return root(self.moments.covariance)

    def measure(self, features: Floats) -> MeasuredDistances:
        """Return the distances (blocks + 1,) of features (n, d): all, then without each block."""
        other = LeaveOuts(checked(features), self.block)
        apart = self.moments.mean - other.centre - other.offsets
        few = len(features) <= features.shape[1]
        cross = self._few(other) if few else _many(other, lambda _: self.moments.covariance)
        total = np.einsum("kd,kd->k", apart, apart) + other.spreads + self.spreads - 2 * cross
        return MeasuredDistances(np.asarray(np.maximum(total, 0.0)), cross)

    def missing(self, _: MeasuredDistances) -> Missing:
        """Return what too few images hide: draws with the same moments are truly at distance 0."""
        return self._missing

    @cached_property
    def _missing(self) -> Missing:
        images, root = len(self.block), self._root
        if images > len(self.moments.mean):
            return NOTHING
        drawn = np.random.default_rng(0).normal(size=(images, root.shape[1])) @ root.T
        return find_missing(self.measure(self.moments.mean + drawn), self.spreads)

    def _few(self, other: LeaveOuts) -> Floats:
        pairs = other.centred @ self._root
        parts = ((pairs[rows], size) for rows, size in zip(other.kept, other.sizes, strict=True))
        return np.array(
            [nuclear_norm(left - left.mean(axis=0)) / np.sqrt(size - 1) for left, size in parts]
        )


def _many(other: LeaveOuts, reference: Callable[[int], Floats]) -> Floats:
    """Return the cross traces (count,) by covariances, in chunks that fit into memory."""
    step = max(1, _AT_ONCE // other.features.shape[1] ** 2)
    found = []
    for start in range(0, other.count, step):
        part = range(start, min(start + step, other.count))
        first, second = (
            np.stack([of(index) for index in part]) for of in (reference, other.covariance)
        )
        found.append(cross_traces(first, second))
    return np.concatenate(found)
