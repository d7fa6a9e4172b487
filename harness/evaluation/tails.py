"""The tail of a cell: the worst decile, broken images, and the ten worst by each kind of metric."""

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition, Tail, WorstImage
from harness.evaluation.alignment import AlignmentComparer
from harness.evaluation.change import Comparer
from harness.evaluation.feature_store import FeatureStore, Reader
from harness.evaluation.image_sets import ImageSets, Variant
from harness.evaluation.paired import PairedComparer, PromptWiseComparer
from harness.stats.bootstrap import Floats
from harness.stats.proportions import share_upper, threshold

CONSTANT = 2.0
"""Standard deviation in grey levels (of 255) below which an image counts as constant."""


class _Contrast:
    """Reads pixels, with the interface of a metric."""

    def __init__(self) -> None:
        self.network = self

    def extract(self, images: Any) -> Any:
        return images

    def features(self, images: Any) -> NDArray[np.float32]:
        """Return the largest standard deviation (n, 1) of a colour channel, in grey levels."""
        flat = images.reshape(len(images), -1, images.shape[-1]).astype(np.float32)
        return np.asarray(flat.std(axis=1).max(axis=1, keepdims=True), dtype=np.float32)


@cache
def get_contrast_reader() -> Reader:
    """Return the reader of contrast, shared by all evaluations."""
    definition = Definition(
        metric="contrast", kind="alignment", weights_sha256="", resize="none", reference="",
        extractor="greatest standard deviation of a colour channel", value_range="uint8 RGB",
        library="numpy", better="higher", question="fidelity",
    )  # fmt: skip
    return Reader(definition, _Contrast)


WORST = 10


def find_tail(
    variant: Variant,
    image_sets: ImageSets,
    feature_store: FeatureStore,
    comparers: dict[str, Comparer],
) -> Tail:
    """Return the tail of one cell.

    An image is broken if it is black or constant, or fits its prompt worse than chance.
    """
    broken = feature_store.rows(get_contrast_reader(), variant)[:, 0] < CONSTANT
    decile: dict[str, float] = {}
    for name, comparer in comparers.items():
        if isinstance(comparer, AlignmentComparer):
            chance = comparer.clear_chance()
            if chance is not None:
                broken |= comparer.scores(variant) < chance
        values = np.asarray(comparer.image_values(variant))
        if values.size:
            decile[name] = _worst_decile(values, comparer.reader.definition)
    count, n = int(broken.sum()), len(variant.images)
    return Tail(
        cell_id=variant.name,
        broken=count,
        n=n,
        broken_share_high=_share_high(count, n, image_sets.seeds),
        worst_decile=decile,
        worst=_worst_images(variant, image_sets, comparers),
    )


def _share_high(count: int, n: int, seeds: int) -> float:
    """Return the upper bound on the share of broken images; prompts are the unit.

    The seeds of a prompt may break together, so the count stands for as many prompts as it would
    fill, of all prompts.
    """
    return share_upper(math.ceil(count / seeds), n // seeds)


def _worst_decile(values: Floats, definition: Definition) -> float:
    """Return the mean of the worst tenth of values (at least one)."""
    ordered = np.sort(values if definition.better == "higher" else -values)
    worst = float(ordered[: max(1, len(ordered) // 10)].mean())
    return worst if definition.better == "higher" else 0.0 - worst


def _worst_images(
    variant: Variant, image_sets: ImageSets, comparers: dict[str, Comparer]
) -> tuple[WorstImage, ...]:
    """Return the worst images by the first metric of each kind; none for the baseline."""
    if variant is image_sets.baseline:
        return ()
    found: dict[str, tuple[WorstImage, ...]] = {}
    for comparer in sorted(
        comparers.values(), key=lambda comparer: not comparer.reader.name.startswith("lpips")
    ):
        kind = comparer.reader.kind
        if kind not in found and (values := comparer.image_values(variant)):
            found[kind] = _worst_by(
                comparer, np.asarray(values), _worsening(comparer, variant, image_sets), image_sets
            )
    return tuple(image for images in found.values() for image in images)


def _worst_by(
    comparer: Comparer, values: Floats, worsening: Floats, image_sets: ImageSets
) -> tuple[WorstImage, ...]:
    order = np.argsort(-worsening, kind="stable")[:WORST]
    return tuple(
        WorstImage(
            prompt_id=image_sets.keys[place][0], seed=image_sets.keys[place][1],
            metric=comparer.reader.name, value=float(values[place]),
        )
        for place in order
        if worsening[place] > 0
    )  # fmt: skip


def _worsening(comparer: Comparer, variant: Variant, image_sets: ImageSets) -> Floats:
    """Return how much worse each image is than the baseline's (positive), in the metric's units."""
    if isinstance(comparer, PairedComparer):
        return comparer.distances(variant)
    before, after = (
        np.asarray(comparer.image_values(which)) for which in (image_sets.baseline, variant)
    )
    if isinstance(comparer, PromptWiseComparer):
        return after - threshold(before[: len(after)])
    return before[: len(after)] - after
