"""The change of a Fréchet distance between baseline and candidate, with one block of prompts left out at a time.

Candidate, baseline and (where it is not a fixed set) reference lose the same prompts together, so that the noise
they share cancels in the change.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from harness.stats.frechet import Floats, cross_trace, feature_distance, moments, root

_BATCHED = 512
"""Up to this many dimensions all covariances with a block left out are handled as one array."""


@dataclass(frozen=True)
class Stack:
    """Means (k, d), covariances (k, d, d) and their traces (k,): first all images, then with each block left out."""

    means: Floats
    covariances: Floats

    @property
    def spreads(self) -> Floats:
        return np.asarray(np.trace(self.covariances, axis1=-2, axis2=-1))


def stack_moments(features: Floats, block: NDArray[np.int64]) -> Stack:
    """Return the moments of features (n, d) for all images and without each block; `block` (n,) numbers them."""
    count = int(block.max()) + 1
    shift = features.mean(axis=0)
    centred = features - shift
    sums, squares, sizes = [], [], []
    for index in range(count):
        part = centred[block == index]
        sums.append(part.sum(axis=0))
        squares.append(part.T @ part)
        sizes.append(len(part))
    total, product = np.sum(sums, axis=0), np.sum(squares, axis=0)
    left = np.array([len(features), *(len(features) - size for size in sizes)], dtype=np.float64)
    means = np.stack([total, *(total - part for part in sums)]) / left[:, None]
    products = np.stack([product, *(product - part for part in squares)])
    products -= left[:, None, None] * means[:, :, None] * means[:, None, :]
    return Stack(means + shift, products / (left - 1)[:, None, None])


@dataclass(frozen=True)
class Reference:
    """The set distances are measured to: `features` (m, d), resampled with the prompts unless `fixed`."""

    features: Floats
    block: NDArray[np.int64]
    fixed: bool = False

    @cached_property
    def stack(self) -> Stack:
        if self.fixed:
            whole = moments(self.features)
            return Stack(whole.mean[None], whole.covariance[None])
        return stack_moments(self.features, self.block)

    @cached_property
    def roots(self) -> Floats:
        return root(self.stack.covariances)

    @cached_property
    def spreads(self) -> Floats:
        """Total variance (k,): the distance from the reference to itself collapsed onto its mean."""
        if self.features.shape[1] > _BATCHED:
            return np.array([np.var(part, axis=0, ddof=1).sum() for part in self._parts()])
        return self.stack.spreads

    def _parts(self) -> list[Floats]:
        if self.fixed:
            return [self.features]
        return [self.features, *(self.features[self.block != i] for i in range(int(self.block.max()) + 1))]

    def distances(self, features: Floats) -> Floats:
        """Return the distances (blocks + 1,) of features (n, d) to the reference: all, then without each block."""
        if features.shape[1] > _BATCHED:
            return self._one_by_one(features)
        other = stack_moments(features, self.block)
        apart = other.means - self.stack.means
        cross = cross_trace(self.roots, other.covariances)
        total = np.einsum("kd,kd->k", apart, apart) + other.spreads + self.spreads - 2 * cross
        return np.asarray(np.maximum(total, 0.0))

    def _one_by_one(self, features: Floats) -> Floats:
        parts = self._parts()
        own = [features, *(features[self.block != i] for i in range(int(self.block.max()) + 1))]
        return np.array([feature_distance(part, parts[0 if self.fixed else i]) for i, part in enumerate(own)])
