"""Delete-a-block jackknife: the uncertainty of any smooth function of a sample (Shao & Tu 1995, §2.3)."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.core.quality import Uncertainty
from harness.stats.confidence import student

METHOD = "delete-a-block jackknife over prompts, paired"
BLOCKS = 20


def assign_blocks(clusters: int, blocks: int = BLOCKS, seed: int = 0) -> NDArray[np.int64]:
    """Return the block (0 … blocks − 1) of each cluster, sizes differing by at most one.

    Clusters are shuffled first, so that an order in the prompt set (by topic, say) does not end up in the blocks.
    """
    count = min(blocks, clusters)
    return np.random.default_rng(seed).permutation(clusters).astype(np.int64) % count


def standard_error(replicates: ArrayLike) -> float:
    """Return the jackknife standard error from the values with one block left out each, shape (blocks,)."""
    values = np.asarray(replicates, dtype=np.float64)
    count = len(values)
    return float(np.sqrt((count - 1) / count * np.sum((values - values.mean()) ** 2)))


def jackknife(estimate: float, replicates: ArrayLike) -> Uncertainty:
    """Return the confidence distribution of `estimate`: Student-t with blocks − 1 degrees of freedom."""
    values = np.asarray(replicates, dtype=np.float64)
    return student(estimate, standard_error(values), len(values) - 1)


def corrected(estimate: float, replicates: ArrayLike) -> float:
    """Return the estimate with its bias of order 1/n removed (Quenouille 1956): B·θ − (B − 1)·mean(leave-outs)."""
    values = np.asarray(replicates, dtype=np.float64)
    return float(len(values) * estimate - (len(values) - 1) * values.mean())
