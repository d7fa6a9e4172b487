"""Images as Pillow gives them, and sets of nothing but grey, cause no crash and no warning."""

from collections.abc import Callable

import numpy as np
import pytest

from harness.metrics._base import to_unit
from harness.metrics._image_features import RESIZINGS
from harness.stats.frechet import FixedReference, Reference, feature_distance
from harness.stats.jackknife import assign_blocks
from harness.stats.mmd import MmdReference

DIMENSIONS = 32
WAYS: dict[str, Callable[[np.ndarray, np.ndarray], object]] = {
    "distance": feature_distance,
    "change": lambda x, y: Reference(y, assign_blocks(len(y))).measure(x),
    "change to fixed images": lambda x, y: FixedReference.of(y, assign_blocks(len(y))).measure(x),
    "kid": lambda x, y: MmdReference(y, 1, "cubic").measure(x),
    "cmmd": lambda x, y: MmdReference(y, 1, "gaussian").measure(x),
}


def feature_sets(count: int) -> dict[str, np.ndarray]:
    one = np.full((count, DIMENSIONS), 0.25)
    two = np.where(np.arange(count)[:, None] % 2, 0.25, 0.5) * np.ones((count, DIMENSIONS))
    return {"one": one, "two": two, "random": np.random.default_rng(0).normal(size=(count, DIMENSIONS))}


@pytest.mark.parametrize("count", [24, 80])
@pytest.mark.parametrize("way", WAYS)
def test_sets_without_variety_are_measured_in_silence(way: str, count: int) -> None:
    sets = feature_sets(count)
    for first in sets.values():
        for second in sets.values():
            WAYS[way](first, second)


@pytest.mark.parametrize("prepare", [to_unit, *(rule.prepare for rule in RESIZINGS.values())])
def test_read_only_images_are_copied_without_warning(prepare: Callable[[np.ndarray], object]) -> None:
    images = np.full((2, 32, 32, 3), 128, dtype=np.uint8)
    before = prepare(images.copy())
    images.setflags(write=False)
    assert (np.asarray(prepare(images)) == np.asarray(before)).all()
    assert (images == 128).all()
