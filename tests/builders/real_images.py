"""Images for metric tests: the first of CIFAR-10's test set if HARNESS_TEST_IMAGES has them, else rendered ones."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

SHAPES = ((32, 32), (150, 200), (420, 333))
"""Height and width: smaller than any network's input, between, and larger; two are not square."""


def real_images(count: int, first: int = 0) -> np.ndarray:
    """uint8 (count, 32, 32, 3), from number `first` on."""
    folder = os.environ.get("HARNESS_TEST_IMAGES")
    path = Path(folder) / "cifar10_test_2000.npz" if folder else None
    if path is not None and path.exists():
        with np.load(path) as archive:
            found = next(archive[key] for key in archive.files if archive[key].ndim == 4)
            return np.ascontiguousarray(found[first : first + count])
    rng = np.random.default_rng(first)
    coarse = rng.integers(0, 256, (count, 8, 8, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(coarse + rng.normal(0, 8, coarse.shape), 0, 255).astype(np.uint8)


def enlarged(images: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The images brought to (height, width), with fine grain added so that enlarging leaves something to see."""
    if images.shape[1:3] == shape:
        return images
    large = [np.asarray(Image.fromarray(p).resize(shape[::-1], Image.Resampling.BICUBIC)) for p in images]
    return noisy(np.stack(large), 4)


def noisy(images: np.ndarray, deviation: float = 12) -> np.ndarray:
    """The images with Gaussian noise, always the same."""
    noise = np.random.default_rng(1).normal(0, deviation, images.shape)
    return np.clip(images + noise, 0, 255).astype(np.uint8)
