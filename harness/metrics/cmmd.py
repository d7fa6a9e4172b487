"""CMMD: the squared maximum mean discrepancy of CLIP embeddings (Jayasumana et al. 2024).

Kernel exp(−|x − y|²/(2σ²)), σ = 10, times 1000. The authors' program takes the biased estimator, whose bias falls
with N; this is the unbiased one, with which sets of different size agree. Reported with its loss; it does not gate
unless named.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _bundled_clip, _open_clip
from harness.metrics._base import FeatureScorer, Metric, Network, Pixels
from harness.metrics._devices import library
from harness.metrics._embeddings import ImageEmbeddings
from harness.metrics._weights import WeightFile, Weights, hash_file

_RESIZE = "centre square, then to 336×336, bicubic with antialias on uint8 (Pillow)"


class _Square(Network):
    """The authors cut out the centre square before they resize; CLIP's own preprocessing does it after."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def extract(self, pictures: Pixels) -> Any:
        height, width = pictures.shape[1:3]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return self.network.extract(pictures[:, top : top + side, left : left + side])


@cache
def _square_network(path: Path, tower: _open_clip.Tower) -> _Square:
    return _Square(_open_clip.openai_network(path, tower))


class Cmmd(Metric):
    """`bundled`: the small dual encoder of the shapes world; `openai`: the paper's ViT-L/14 at 336 pixels."""

    question: ClassVar[Question] = "variety"
    kind: ClassVar[MetricKind] = "distribution"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", "openai")
    gates_by_default: ClassVar[bool] = False
    statistic: ClassVar[Literal["frechet", "mmd"]] = "mmd"
    kernel: ClassVar[Literal["cubic", "gaussian"]] = "gaussian"

    def needs(self) -> tuple[WeightFile, ...]:
        return () if self.profile == "bundled" else (_open_clip.L14_336.weights,)

    def ships(self) -> tuple[Path, ...]:
        return (_bundled_clip.weights_path(),) if self.profile == "bundled" else ()

    @property
    def dimensions(self) -> int:
        return _bundled_clip.DIMENSIONS if self.profile == "bundled" else _open_clip.L14_336.dimensions

    def define(self, weights: Weights) -> Definition:
        bundled = self.profile == "bundled"
        path = _bundled_clip.weights_path() if bundled else weights.find(_open_clip.L14_336.weights)
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_bundled_clip.EXTRACTOR if bundled else _open_clip.L14_336.extractor,
            weights_sha256=hash_file(path),
            resize=_bundled_clip.RESIZE if bundled else _RESIZE,
            value_range=_bundled_clip.VALUE_RANGE if bundled else _open_clip.VALUE_RANGE,
            reference="",
            library=library("torch", "open_clip_torch"),
            better="lower",
            formula="1000 · unbiased MMD², Gaussian kernel σ 10, unit embeddings",
        )

    def load(self, weights: Weights) -> FeatureScorer:
        if self.profile == "bundled":
            return ImageEmbeddings(_bundled_clip.bundled_network())
        tower = _open_clip.L14_336
        return ImageEmbeddings(_square_network(weights.find(tower.weights), tower))
