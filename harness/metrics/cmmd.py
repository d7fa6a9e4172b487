"""CMMD: the squared maximum mean discrepancy of CLIP embeddings (Jayasumana et al. 2024).

Kernel exp(−|x − y|²/(2σ²)), σ = 10, times 1000. The authors' program uses the biased estimator,
whose bias falls with N; this is the unbiased one, with which sets of different size agree. Reported
with its loss; gates only where a rule names it.
"""

from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from harness.core.quality import MetricKind, Question
from harness.metrics import _bundled, _open_clip
from harness.metrics._base import Description, FeatureScorer, Network, Pixels
from harness.metrics._weights import Weights

_RESIZE = "centre square, then to 336×336, bicubic with antialias on uint8 (Pillow)"


class _Square(Network):
    """Crops the centre square before resizing, as the authors do; CLIP itself crops after."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def extract(self, pixels: Pixels) -> Any:
        height, width = pixels.shape[1:3]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return self.network.extract(pixels[:, top : top + side, left : left + side])


@cache
def _square_network(path: Path, tower: _open_clip.Tower) -> _Square:
    return _Square(_open_clip.load_openai_network(path, tower))


class Cmmd(_bundled.ClipMetric):
    """`bundled`: the small dual encoder; `openai`: the paper's ViT-L/14 at 336 pixels."""

    question: ClassVar[Question] = "variety"
    kind: ClassVar[MetricKind] = "distribution"
    profiles: ClassVar[tuple[str, ...]] = ("bundled", "openai")
    tower: ClassVar[_open_clip.Tower] = _open_clip.L14_336
    gates_by_default: ClassVar[bool] = False
    statistic: ClassVar[Literal["frechet", "mmd"]] = "mmd"
    kernel: ClassVar[Literal["cubic", "gaussian"]] = "gaussian"

    @property
    def dimensions(self) -> int:
        return _bundled.FEATURES if self.bundled else self.tower.dimensions

    def describe(self) -> Description:
        formula = "1000 · unbiased MMD², Gaussian kernel σ 10, unit embeddings"
        return self.describe_as(formula, "lower", _RESIZE)

    def load(self, weights: Weights) -> FeatureScorer:
        if self.bundled:
            return FeatureScorer(_bundled.load_clip_network())
        return FeatureScorer(_square_network(weights.find(self.tower.weights), self.tower))
