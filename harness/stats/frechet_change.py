"""The change of a Fréchet distance between baseline and candidate, with one block of prompts left out at a time.

Candidate, baseline and (where it is not a fixed set) reference lose the same prompts together, so that the noise
they share cancels in the change. What is common to all leave-outs is done once: with many images the sums of products,
from which a block's are taken away; with no more images than dimensions the products of all pairs of images, of which
a block's rows and columns are taken away.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.stats.few_images import NOTHING, Measured, Missing, find_missing
from harness.stats.frechet import Floats, Moments, checked, cross_traces, moments, nuclear_norm, root

_AT_ONCE = 2**22
"""Numbers in the covariances handled as one array."""


@dataclass(frozen=True)
class LeaveOuts:
    """A set of features (n, d) and what is left of it without each block; `block` (n,) numbers them from 0."""

    features: Floats
    block: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many there are: all images, then without each block."""
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
        """Return the covariance (d, d) of the index-th of them."""
        size, offset = self.sizes[index], self.offsets[index]
        gone = np.vstack([self.centred[~self.kept[index]], np.sqrt(size) * offset])
        products = self._products - gone.T @ gone
        products /= size - 1
        return products


@dataclass(frozen=True)
class Reference:
    """The set distances are measured to: pictures of the same prompts, that lose each block with the candidate."""

    features: Floats
    block: NDArray[np.int64]

    @cached_property
    def _own(self) -> LeaveOuts:
        return LeaveOuts(checked(self.features), self.block)

    @property
    def spreads(self) -> Floats:
        """Total variance (blocks + 1,): the distance from the reference to itself collapsed onto its mean."""
        return self._own.spreads

    def measure(self, features: Floats) -> Measured:
        """Return the distances of features (n, d) to the reference: all, then without each block."""
        own, other = self._own, LeaveOuts(checked(features), self.block)
        apart = own.centre + own.offsets - other.centre - other.offsets
        few = len(features) <= features.shape[1]
        cross = self._few(other) if few else _many(other, own.covariance)
        total = np.einsum("kd,kd->k", apart, apart) + other.spreads + own.spreads - 2 * cross
        return Measured(np.asarray(np.maximum(total, 0.0)), cross)

    def missing(self, baseline: Measured) -> Missing:
        """Return what so many images do not show: the baseline's distance to itself at other seeds is truly 0."""
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
    """The set distances are measured to: real images, known by their moments, that stay whole."""

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

    def measure(self, features: Floats) -> Measured:
        """Return the distances of features (n, d) to the reference: all, then without each block."""
        other = LeaveOuts(checked(features), self.block)
        apart = self.moments.mean - other.centre - other.offsets
        few = len(features) <= features.shape[1]
        cross = self._few(other) if few else _many(other, lambda _: self.moments.covariance)
        total = np.einsum("kd,kd->k", apart, apart) + other.spreads + self.spreads - 2 * cross
        return Measured(np.asarray(np.maximum(total, 0.0)), cross)

    def missing(self, _: Measured) -> Missing:
        """Return what so many images do not show: normal draws with the reference's moments are truly at 0."""
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
        return np.array([nuclear_norm(left - left.mean(axis=0)) / np.sqrt(size - 1) for left, size in parts])


def _many(other: LeaveOuts, reference: Callable[[int], Floats]) -> Floats:
    """Return the cross traces (count,) by covariances, as many at a time as fit."""
    step = max(1, _AT_ONCE // other.features.shape[1] ** 2)
    found = []
    for start in range(0, other.count, step):
        part = range(start, min(start + step, other.count))
        first, second = (np.stack([of(index) for index in part]) for of in (reference, other.covariance))
        found.append(cross_traces(first, second))
    return np.concatenate(found)
