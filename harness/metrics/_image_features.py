"""What FID and KID share: one table of profiles, each an extractor, so that one look at a picture serves both."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _attributes, _inception
from harness.metrics._base import FeatureScorer, Metric, Network
from harness.metrics._devices import library, to_array
from harness.metrics._resizing import RESIZINGS, SIDE, ZERO_TO_ONE
from harness.metrics._weights import WeightFile, Weights, sha256_of


class Extractor(NamedTuple):
    """One profile: what is read from a picture, in words, and the network that reads it."""

    words: str
    resize: str
    value_range: str
    dimensions: int
    network: Callable[[Path], Network]
    """Given the path of Inception's weights; the bundled net has its own."""
    least_pixels: int = 1
    libraries: tuple[str, ...] = ("torch",)


def _resized(profile: str) -> Extractor:
    rule = RESIZINGS[profile]
    libraries = ("torch", "pillow") if profile == "clean" else ("torch",)
    return Extractor(
        _inception.EXTRACTOR, rule.resize, rule.value_range, _inception.FEATURES,
        lambda path: _inception.inception_network(path, profile), libraries=libraries,
    )  # fmt: skip


WHOLE: dict[str, Extractor] = {
    "bundled": Extractor(
        _attributes.EXTRACTOR, _attributes.RESIZE, _attributes.VALUE_RANGE, _attributes.FEATURES,
        lambda _: _attributes.attribute_network(),
    ),
    **{profile: _resized(profile) for profile in RESIZINGS},
}  # fmt: skip
"""Profiles that look at the whole picture, brought to one size."""
NATIVE: dict[str, Extractor] = {
    "native192": Extractor(
        _inception.EARLY_EXTRACTOR, "none; nine tiles from 192 pixels a side on, else the whole picture", ZERO_TO_ONE,
        _inception.EARLY_FEATURES, _inception.early_network, _inception.EARLY_LEAST_PIXELS,
    ),
    "patch": Extractor(
        _inception.EXTRACTOR, "none; centre crop of 299×299 pixels", ZERO_TO_ONE, _inception.FEATURES,
        _inception.patch_network, SIDE,
    ),
}  # fmt: skip
"""Profiles that look at native pixels."""


class _Scorer(FeatureScorer):
    def __init__(self, network: Network) -> None:
        self.network = network

    def features(self, activations: Any) -> NDArray[np.float32]:
        seen = activations.features if isinstance(activations, _attributes.Activations) else activations
        found: NDArray[np.float32] = to_array(seen)
        return found


class ImageFeatureMetric(Metric):
    """A distance between two sets of image features."""

    kind: ClassVar[MetricKind] = "distribution"
    question: ClassVar[Question] = "variety"
    profiles: ClassVar[tuple[str, ...]] = tuple(WHOLE)
    formula: ClassVar[str]

    @property
    def extractor(self) -> Extractor:
        return (WHOLE | NATIVE)[self.profile]

    @property
    def least_pixels(self) -> int:  # type: ignore[override]
        return self.extractor.least_pixels

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (_inception.WEIGHTS,)

    def ships(self) -> tuple[Path, ...]:
        return (_attributes.weights_path(),) if self.profile == "bundled" else ()

    @property
    def dimensions(self) -> int:
        return self.extractor.dimensions

    def _weights(self, weights: Weights) -> Path:
        return _attributes.weights_path() if self.profile == "bundled" else weights.find(_inception.WEIGHTS)

    def define(self, weights: Weights) -> Definition:
        extractor = self.extractor
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=extractor.words,
            weights_sha256=sha256_of(self._weights(weights)),
            resize=extractor.resize,
            value_range=extractor.value_range,
            reference="",
            library=library(*extractor.libraries),
            better="lower",
            formula=self.formula,
        )

    def load(self, weights: Weights) -> FeatureScorer:
        return _Scorer(self.extractor.network(self._weights(weights)))
