"""Delete-a-block jackknife of smooth functions of a sample (Shao & Tu 1995, §2.3)."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.quality import Uncertainty
from harness.stats.confidence import student, uncertainty

Floats = NDArray[np.float64]

METHOD = "delete-a-block jackknife over prompts, paired"
CORRECTED = f"{METHOD}, bias-corrected"
WIDENED = f"{CORRECTED}, widened for few images"
BLOCKS = 20


def assign_blocks(clusters: int, blocks: int = BLOCKS, seed: int = 0) -> NDArray[np.int64]:
    """Return the block (0 … blocks − 1) of each cluster, sizes differing by at most one.

    Clusters are shuffled first, so that an order in the prompt set, such as by topic, does not end
    up in the blocks.
    """
    count = min(blocks, clusters)
    return np.random.default_rng(seed).permutation(clusters).astype(np.int64) % count


def standard_error(replicates: ArrayLike) -> float:
    """Return the jackknife standard error of values without one block each (blocks,)."""
    values = np.asarray(replicates, dtype=np.float64)
    count = len(values)
    return float(np.sqrt((count - 1) / count * np.sum((values - values.mean()) ** 2)))


def jackknife(estimate: float, replicates: ArrayLike) -> Uncertainty:
    """Return the confidence distribution of `estimate`: Student-t, blocks − 1 degrees."""
    values = np.asarray(replicates, dtype=np.float64)
    return student(estimate, standard_error(values), len(values) - 1)


class Corrected(NamedTuple):
    """A ratio with its bias of order 1/n removed, its standard error, and the number of blocks."""

    value: float
    error: float
    blocks: int


def corrected_ratio(numerators: ArrayLike, denominators: ArrayLike) -> Corrected:
    """Return a ratio of two quantities (blocks + 1,): with all blocks, then without each.

    Numerator and denominator are corrected separately (Quenouille 1956), as means of their
    pseudo-values B·θ − (B − 1)·θ₍₋ᵢ₎ (Tukey 1958), and the error is that of a ratio of means of
    pseudo-values. Correcting the ratio instead would leave its error on the scale of the
    uncorrected denominator: 8 % false passes against a reference set of real images at 100 prompts,
    simulated. A single denominator applies to all. The error of a single numerator over a single
    denominator is unknown: infinite.
    """
    a, g = (_pseudo_values(np.asarray(x, dtype=np.float64)) for x in (numerators, denominators))
    value = float(a.mean() / g.mean())
    residuals = (a - value * g) / g.mean()
    error = float(residuals.std(ddof=1)) / math.sqrt(len(a)) if residuals.size > 1 else math.inf
    return Corrected(value, error, len(a))


def _pseudo_values(values: Floats) -> Floats:
    blocks = len(values) - 1
    return np.asarray(blocks * values[0] - (blocks - 1) * values[1:] if blocks else values)


def distribution_of_square(found: Corrected) -> Uncertainty:
    """Return the confidence distribution of a quantity like a Fréchet distance, a square.

    Student-t with blocks − 1 degrees of freedom, bent outwards: its standard error grows with the
    quantity, so a low estimate comes with a small error and straight bounds pass too often (up to
    6.5 % for a nominal 5 %, simulated). Bounds away from zero are computed on the square-root
    scale, where the error is constant: (√θ + t·s / 2√θ)² = θ + t·s + t²s² / 4θ. The last term is
    limited to t·s / 4, near zero. With 100 prompts the jackknife's error is itself too large by up
    to a fifth (Efron & Stein 1981), so intervals are rather too wide.
    """
    straight = np.asarray(student(found.value, found.error, found.blocks - 1).quantiles)
    offset = straight - found.value
    outward = offset > 0 if found.value >= 0 else offset < 0
    scale = np.maximum(abs(found.value), np.abs(offset))
    bend = np.divide(
        offset * np.abs(offset), 4 * scale, out=np.zeros_like(offset), where=outward & (scale > 0)
    )
    return uncertainty(straight + bend)
