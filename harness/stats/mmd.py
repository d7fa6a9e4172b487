"""The squared maximum mean discrepancy of two sets of features, unbiased.

    MMD² = E k(x, x′) + E k(y, y′) − 2 E k(x, y),  pairs without an image with itself

Gretton et al. 2012, equations 3 and 4. Kernels: `cubic`, (x·y / d + 1)³, is KID's (Bińkowski et al.
2018); `gaussian`, exp(−|x − y|² / 2σ²) with σ = 10, times 1,000, is CMMD's (Jayasumana et al.
2024). KID as published averages subsets of 1,000 images to save time; the whole set has the same
expectation and less noise.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.stats.distance_loss import NOTHING, MeasuredDistances, Missing

Floats = NDArray[np.float64]
Kernel = Literal["cubic", "gaussian"]

SIGMA = 10.0
GAUSSIAN_SCALE = 1000.0
_ROWS = 1024
"""Rows of the kernel matrix in memory at a time."""


def kernel_values(kernel: Kernel, products: Floats, first: Floats, second: Floats) -> Floats:
    """Return the kernel of inner products (…) of vectors whose lengths broadcast to them.

    `first` and `second` are what `_lengths` returns: squared lengths, or for the cubic kernel
    numbers of dimensions.
    """
    if kernel == "cubic":
        return np.asarray((products / first + 1) ** 3)
    return np.asarray(GAUSSIAN_SCALE * np.exp((2 * products - first - second) / (2 * SIGMA**2)))


def _lengths(kernel: Kernel, features: Floats) -> Floats:
    """Return each vector's squared length (n,), or for the cubic kernel its dimensions."""
    if kernel == "cubic":
        return np.full(features.shape[:-1], float(features.shape[-1]))
    return np.asarray(np.einsum("...d,...d->...", features, features))


def _rows(kernel: Kernel, first: Floats, second: Floats) -> Iterator[tuple[slice, Floats]]:
    """Yield the kernel matrix (n, m) of two sets, some rows at a time."""
    mine, theirs = _lengths(kernel, first), _lengths(kernel, second)
    for start in range(0, len(first), _ROWS):
        part = slice(start, start + _ROWS)
        yield part, kernel_values(kernel, first[part] @ second.T, mine[part, None], theirs)


def _own(kernel: Kernel, features: Floats) -> Floats:
    """Return k(x, x) of each vector (n,)."""
    lengths = _lengths(kernel, features)
    return kernel_values(kernel, np.einsum("...d,...d->...", features, features), lengths, lengths)


def mmd(first: ArrayLike, second: ArrayLike, kernel: Kernel) -> float:
    """Return the unbiased MMD² of features (n, d) and (m, d).

    It may be slightly negative for equal distributions. Raises ValueError for fewer than two images
    in a set.
    """
    x, y = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if min(len(x), len(y)) < 2:
        raise ValueError("an MMD needs at least two images in each set")
    cross = sum(float(values.sum()) for _, values in _rows(kernel, x, y)) / (len(x) * len(y))
    return _within(kernel, x) + _within(kernel, y) - 2 * cross


def _within(kernel: Kernel, features: Floats) -> float:
    """Return the mean kernel of two different images of one set."""
    total = sum(float(values.sum()) for _, values in _rows(kernel, features, features))
    count = len(features)
    return (total - float(_own(kernel, features).sum())) / (count * (count - 1))


@dataclass(frozen=True)
class MmdReference:
    """The reference set of an MMD, with one prompt left out at a time.

    Same interface as the Fréchet `Reference`. `features` (m, d) are real images if `fixed`;
    otherwise images of the same prompts, `seeds` of each, prompt by prompt. Then only pairs of
    different prompts count, within a set and across: two images of one prompt are not independent,
    and counting them would bias the distance by order 1 / prompts.
    """

    features: Floats
    seeds: int
    kernel: Kernel
    fixed: bool = False

    @cached_property
    def _inside(self) -> Floats:
        """Mean kernel of two reference images (prompts + 1,): all, then without each prompt.

        (1,) if fixed.
        """
        if self.fixed:
            return np.array([_within(self.kernel, self.features)])
        return self._leave_out(2 * self._sums(self.features, self.features))

    @cached_property
    def spreads(self) -> Floats:
        """The variance E k(y, y) − E k(y, y′) of the reference in kernel space (prompts + 1,).

        It is the mean MMD² of the reference to itself collapsed onto one of its images.
        """
        own = _own(self.kernel, self.features)
        if self.fixed:
            return np.asarray(own.mean() - self._inside)
        own = own.reshape(-1, self.seeds).mean(axis=1)
        without = (own.sum() - own) / (len(own) - 1)
        return np.concatenate([[own.mean()], without]) - self._inside

    def missing(self, _: MeasuredDistances) -> Missing:
        """Return nothing: the statistic is unbiased for any number of images."""
        return NOTHING

    def measure(self, features: Floats) -> MeasuredDistances:
        """Return the MMD² of features (prompts × seeds, d) to the reference.

        All, then without each prompt. Raises ValueError for fewer than three prompts.
        """
        if len(features) < 3 * self.seeds:
            raise ValueError("leaving a prompt out needs at least three prompts")
        inside = self._leave_out(2 * self._sums(features, features))
        if self.fixed:
            cross = self._leave_out_fixed(features)
        else:
            cross = self._leave_out(
                self._sums(features, self.features) + self._sums(self.features, features)
            )
        return MeasuredDistances(np.asarray(inside + self._inside - 2 * cross), cross)

    def _sums(self, first: Floats, second: Floats) -> Floats:
        """Return the summed kernel (prompts,) of each prompt's images with other prompts'."""
        totals = np.concatenate(
            [values.sum(axis=1) for _, values in _rows(self.kernel, first, second)]
        )
        x, y = (part.reshape(-1, self.seeds, part.shape[1]) for part in (first, second))
        lengths = _lengths(self.kernel, x)[:, :, None], _lengths(self.kernel, y)[:, None, :]
        same = kernel_values(self.kernel, np.einsum("psd,ptd->pst", x, y), *lengths)
        return np.asarray(totals.reshape(-1, self.seeds).sum(axis=1) - same.sum(axis=(1, 2)))

    def _leave_out(self, sums: Floats) -> Floats:
        """Return mean kernels from `sums` (prompts,) over ordered pairs with each prompt."""
        count, total = len(sums), sums.sum() / 2
        left = np.concatenate([[total], total - sums])
        pairs = np.array(
            [count * (count - 1), *[(count - 1) * (count - 2)] * count], dtype=np.float64
        )
        return np.asarray(left / (pairs * self.seeds**2))

    def _leave_out_fixed(self, features: Floats) -> Floats:
        rows = np.concatenate(
            [values.mean(axis=1) for _, values in _rows(self.kernel, features, self.features)]
        )
        means = rows.reshape(-1, self.seeds).mean(axis=1)
        return np.concatenate([[means.mean()], (means.sum() - means) / (len(means) - 1)])
