"""How long the statistics take, as ratios in one run: OMP_NUM_THREADS=1 python -m tests.benchmarks.statistics_speed

With --quick: of few images with few features, whose times do not count.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np

from harness.stats.bootstrap import mean
from harness.stats.frechet import Reference, feature_distance
from harness.stats.jackknife import assign_blocks
from harness.stats.mmd import MmdReference

IMAGES, FEW, DIMENSIONS = 5000, 1000, 2048
QUICK_IMAGES, QUICK_FEW, QUICK_DIMENSIONS = 300, 200, 64


def timed(work: Callable[[], object]) -> tuple[float, object]:
    """Return the processor time in s, which other programs on the machine do not change, and the result."""
    begin = time.process_time()
    found = work()
    return time.process_time() - begin, found


def by_sqrtm(first: np.ndarray, second: np.ndarray) -> float:
    """The distance as pytorch-fid computes it, by scipy's general matrix square root."""
    from scipy.linalg import sqrtm

    one, other = np.cov(first.T), np.cov(second.T)
    apart = first.mean(axis=0) - second.mean(axis=0)
    return float(apart @ apart + np.trace(one) + np.trace(other) - 2 * np.trace(sqrtm(one @ other).real))


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description="How long the statistics take.")
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    most, few, dimensions = (QUICK_IMAGES, QUICK_FEW, QUICK_DIMENSIONS) if quick else (IMAGES, FEW, DIMENSIONS)
    rng = np.random.default_rng(0)
    scale = 1 / np.sqrt(1 + np.arange(dimensions))
    x, y = rng.normal(size=(most, dimensions)) * scale, rng.normal(size=(most, dimensions)) * scale * 1.1
    feature_distance(x[: dimensions + 52], y[: dimensions + 52])  # imports and first touches are nobody's time
    mean(x[:, 0], 100)
    ours, value = timed(lambda: feature_distance(x, y))
    for images in (most, few):
        one, _ = timed(lambda n=images: feature_distance(x[:n], y[:n]))
        against = Reference(y[:images], assign_blocks(images))
        many, _ = timed(lambda n=images, a=against: a.measure(x[:n]).distances)
        print(f"jackknife of 20 blocks, {images:,} × {dimensions}: {many:.1f} s, {many / one:.1f}× one distance")
    for prompts in (few, most):
        seconds, _ = timed(lambda n=prompts: mean(x[:n, 0], 10_000))
        print(f"10,000 bootstrap resamples of {prompts:,} prompts: {seconds:.2f} s")
    seconds, _ = timed(lambda: MmdReference(y, 1, "cubic").measure(x).distances)
    print(f"MMD² with each of {most:,} prompts left out: {seconds:.1f} s, {seconds / ours:.1f}× one Fréchet distance")
    theirs, reference = timed(lambda: by_sqrtm(x, y))
    print(f"Fréchet distance, {most:,} × {dimensions}: {ours:.1f} s, scipy's sqrtm {theirs:.1f} s: "
          f"{theirs / ours:.1f}× faster, values differ by {abs(value / reference - 1):.0e}")  # fmt: skip


if __name__ == "__main__":
    main()
