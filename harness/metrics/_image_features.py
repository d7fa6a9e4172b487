"""What FID and KID share: the same extractors under the same profiles, so that one look at a picture serves both."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _attributes, _inception
from harness.metrics._base import FeatureScorer, Metric
from harness.metrics._devices import library, to_array
from harness.metrics._resizing import RESIZINGS
from harness.metrics._weights import WeightFile, Weights, sha256_of

PROFILES = ("bundled", *RESIZINGS)


class _Attributes(FeatureScorer):
    def __init__(self) -> None:
        self.network = _attributes.attribute_network()

    def features(self, activations: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(activations.features)
        return found


class _Inception(FeatureScorer):
    def __init__(self, weights: Weights, profile: str) -> None:
        self.network = _inception.inception_network(weights.find(_inception.WEIGHTS), profile)

    def features(self, activations: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(activations)
        return found


class ImageFeatureMetric(Metric):
    """A distance between two sets of image features."""

    question: ClassVar[Question] = "variety"
    kind: ClassVar[MetricKind] = "distribution"
    profiles: ClassVar[tuple[str, ...]] = PROFILES
    formula: ClassVar[str]

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (_inception.WEIGHTS,)

    def ships(self) -> tuple[Path, ...]:
        return (_attributes.weights_path(),) if self.profile == "bundled" else ()

    @property
    def dimensions(self) -> int:
        return _attributes.FEATURES if self.profile == "bundled" else _inception.FEATURES

    def define(self, weights: Weights) -> Definition:
        bundled = self.profile == "bundled"
        rule = None if bundled else RESIZINGS[self.profile]
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_attributes.EXTRACTOR if bundled else _inception.EXTRACTOR,
            weights_sha256=_attributes.weights_sha256() if bundled else sha256_of(weights.find(_inception.WEIGHTS)),
            resize=rule.resize if rule else _attributes.RESIZE,
            value_range=rule.value_range if rule else _attributes.VALUE_RANGE,
            reference="",
            library=library("torch", "pillow") if self.profile == "clean" else library("torch"),
            better="lower",
            formula=self.formula,
        )

    def load(self, weights: Weights) -> FeatureScorer:
        return _Attributes() if self.profile == "bundled" else _Inception(weights, self.profile)
