"""SSIM of uint8 RGB (Wang et al. 2004).

Gaussian window of 11 pixels, σ 1.5, per channel, valid region only. The distance is 1 − SSIM.
Reported with its loss; gates only where a rule names it (see psnr.py).
"""

from functools import cache
from typing import Any, ClassVar, NamedTuple

import numpy as np

from harness.core.quality import MetricKind, Question
from harness.metrics._base import (
    Description,
    Floats,
    Metric,
    Network,
    PairScorer,
    Pixels,
    exact,
    to_array,
    to_unit,
)
from harness.metrics._weights import Weights

WINDOW, SIGMA = 11, 1.5
SMALL = 256
C1, C2 = 0.01**2, 0.03**2


class Smoothed(NamedTuple):
    """Images minus mid-grey (n, 3, height, width), local means of them and their squares."""

    images: Any
    mean: Any
    square: Any


class _Windows(Network):
    """Local means under the window; images are centred, since variances are differences."""

    def extract(self, pixels: Pixels) -> Smoothed:
        with exact():
            images = to_unit(pixels) - 0.5
            return Smoothed(images, _blur(images), _blur(images * images))


class _Scorer(PairScorer):
    def __init__(self) -> None:
        self.network = _Windows()

    def distances(self, first: Any, second: Any) -> Floats:
        with exact():
            variances = (first.square - first.mean**2) + (second.square - second.mean**2)
            covariance = _blur(first.images * second.images) - first.mean * second.mean
            x, y = first.mean + 0.5, second.mean + 0.5
            top = (2 * x * y + C1) * (2 * covariance + C2)
            bottom = (x * x + y * y + C1) * (variances + C2)
            found: Floats = to_array((top / bottom).double().mean(dim=(1, 2, 3)))
        return 1 - found


@cache
def _kernel() -> Any:
    import torch

    ticks = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(ticks**2) / (2 * SIGMA**2))
    return torch.tensor(weights / weights.sum(), dtype=torch.float32)


@cache
def _band(side: int) -> Any:
    """Return the window as a matrix (side − 10, side), fastest for small images."""
    import torch

    return torch.stack(
        [
            torch.nn.functional.pad(_kernel(), (i, side - WINDOW - i))
            for i in range(side - WINDOW + 1)
        ]
    )


def _blur(images: Any) -> Any:
    """Return the separable Gaussian of tensors (n, 3, height, width), valid region only."""
    from torch.nn import functional

    height, width = images.shape[-2:]
    if max(height, width) <= SMALL:
        return _band(height).to(images.device) @ images @ _band(width).to(images.device).T
    kernel = _kernel().to(images.device)
    flat = images.flatten(0, 1).unsqueeze(1)
    flat = functional.conv2d(
        functional.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1)
    )
    return flat.unflatten(0, images.shape[:2]).squeeze(2)


class Ssim(Metric):
    """The distance is 1 − SSIM; scores are SSIM."""

    question: ClassVar[Question] = "identity"
    kind: ClassVar[MetricKind] = "paired"
    gates_by_default: ClassVar[bool] = False
    least_pixels: ClassVar[int] = WINDOW

    def describe(self) -> Description:
        extractor = "Gaussian window 11 px, sigma 1.5, per channel, valid region"
        return Description(extractor, "uint8 RGB", ("torch",), better="higher")

    def load(self, weights: Weights) -> PairScorer:
        return _Scorer()

    def to_score(self, distances: Floats) -> Floats:
        """Return SSIM."""
        return 1 - distances
