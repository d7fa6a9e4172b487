"""LPIPS: distance of deep features, channel by channel, averaged over the picture (Zhang et al. 2018)."""

from pathlib import Path
from typing import Any, ClassVar

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _attributes, _lpips_trunks
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


class _Trunk(PairScorer):
    def __init__(self, weights: Weights, profile: str) -> None:
        path = weights.find(_lpips_trunks.TRUNKS[profile].weights)
        self.network = _lpips_trunks.trunk_network(path, profile)

    def distances(self, first: Any, second: Any) -> Floats:
        return _lpips_trunks.weighted_distance(first, second)


class Lpips(Metric):
    """`bundled`: maps of the attribute net, unweighted; `alex`, `vgg`: v0.1 as in pip's lpips, at native size."""

    question: ClassVar[Question] = "identity"
    kind: ClassVar[MetricKind] = "paired"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", *_lpips_trunks.TRUNKS)

    @property
    def _trunk(self) -> _lpips_trunks.Trunk | None:
        return _lpips_trunks.TRUNKS.get(self.profile)

    @property
    def least_pixels(self) -> int:  # type: ignore[override]
        return self._trunk.least_pixels if self._trunk else 1

    def needs(self) -> tuple[WeightFile, ...]:
        return (self._trunk.weights,) if self._trunk else ()

    def ships(self) -> tuple[Path, ...]:
        return (_lpips_trunks.heads_path(self.profile) if self._trunk else _attributes.weights_path(),)

    def define(self, weights: Weights) -> Definition:
        trunk = self._trunk
        digest = _lpips_trunks.weights_sha256(weights, self.profile) if trunk else _attributes.weights_sha256()
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=f"{trunk.architecture}, five ReLU layers, LPIPS v0.1 heads" if trunk else _attributes.EXTRACTOR,
            weights_sha256=digest,
            resize="none" if trunk else _attributes.RESIZE,
            value_range=_attributes.VALUE_RANGE,
            reference="the baseline's image of the same prompt and seed",
            library=library("torch", "lpips") if trunk else library("torch"),
            better="lower",
            formula="mean over places of the squared difference of unit feature vectors"
            + (", weighted by the heads, summed over layers" if trunk else ", averaged over layers"),
        )

    def load(self, weights: Weights) -> PairScorer:
        return _Trunk(weights, self.profile) if self._trunk else _Bundled()
