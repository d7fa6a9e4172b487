"""FID: the Fréchet distance between two sets of features (Heusel et al. 2017)."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.core.quality import Definition, MetricKind
from harness.metrics import _attributes, _inception
from harness.metrics._base import FeatureScorer, Metric
from harness.metrics._devices import library, to_array
from harness.metrics._weights import WeightFile, Weights, sha256_of


class _Attributes(FeatureScorer):
    def __init__(self) -> None:
        self.network = _attributes.attribute_network()

    def features(self, activations: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(activations.features)
        return found


class _Inception(FeatureScorer):
    def __init__(self, weights: Weights) -> None:
        self.network = _inception.inception_network(weights.find(_inception.WEIGHTS))

    def features(self, activations: Any) -> NDArray[np.float32]:
        found: NDArray[np.float32] = to_array(activations)
        return found


class Fid(Metric):
    """`bundled`: 128 features of the attribute net; `mlperf`: Inception-v3 2015-12-05 pool3 as pytorch-fid."""

    kind: ClassVar[MetricKind] = "distribution"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", "mlperf")

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (_inception.WEIGHTS,)

    def define(self, weights: Weights) -> Definition:
        bundled = self.profile == "bundled"
        return Definition(
            metric=self.name,
            kind=self.kind,
            extractor=_attributes.EXTRACTOR if bundled else _inception.EXTRACTOR,
            weights_sha256=_attributes.weights_sha256() if bundled else sha256_of(weights.find(_inception.WEIGHTS)),
            resize=_attributes.RESIZE if bundled else _inception.RESIZE,
            value_range="uint8 RGB to [-1, 1]",
            reference="",
            library=library("torch"),
            better="lower",
        )

    def load(self, weights: Weights) -> FeatureScorer:
        return _Attributes() if self.profile == "bundled" else _Inception(weights)
