"""LPIPS: distance of deep features, channel by channel, averaged over the picture (Zhang et al. 2018)."""

from typing import Any, ClassVar

from harness.core.quality import Definition, MetricKind
from harness.metrics import _alexnet, _attributes
from harness.metrics._base import Floats, Metric, PairScorer
from harness.metrics._devices import exact, library, to_array
from harness.metrics._weights import WeightFile, Weights


class _Bundled(PairScorer):
    """Unweighted: the mean over depths and places of the squared distance between unit feature vectors."""

    def __init__(self) -> None:
        self.network = _attributes.attribute_network()

    def distances(self, first: Any, second: Any) -> Floats:
        with exact():
            pairs = zip(first.maps, second.maps, strict=True)
            layers = [(a - b).square_().sum(dim=1).mean(dim=(1, 2)) for a, b in pairs]
            total = sum(layers) / len(layers)
        found: Floats = to_array(total).astype("float64")
        return found


class _Alex(PairScorer):
    def __init__(self, weights: Weights) -> None:
        self.network = _alexnet.alexnet_network(weights.find(_alexnet.WEIGHTS))

    def distances(self, first: Any, second: Any) -> Floats:
        return _alexnet.weighted_distance(first, second)


class Lpips(Metric):
    """`bundled`: maps of the attribute net, unweighted; `alex`: AlexNet with the v0.1 heads of pip's lpips."""

    kind: ClassVar[MetricKind] = "paired"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", "alex")

    @property
    def least_pixels(self) -> int:  # type: ignore[override]
        return 1 if self.profile == "bundled" else 31

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (_alexnet.WEIGHTS,)

    def define(self, weights: Weights) -> Definition:
        bundled = self.profile == "bundled"
        return Definition(
            metric=self.name,
            kind=self.kind,
            extractor=_attributes.EXTRACTOR if bundled else _alexnet.EXTRACTOR,
            weights_sha256=_attributes.weights_sha256() if bundled else _alexnet.weights_sha256(weights),
            resize=_attributes.RESIZE if bundled else "none",
            value_range="uint8 RGB to [-1, 1]",
            reference="the baseline's image of the same prompt and seed",
            library=library("torch") if bundled else library("torch", "lpips"),
            better="lower",
        )

    def load(self, weights: Weights) -> PairScorer:
        return _Bundled() if self.profile == "bundled" else _Alex(weights)
