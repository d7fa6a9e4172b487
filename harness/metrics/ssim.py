"""SSIM of uint8 RGB (Wang et al. 2004): Gaussian window of 11 pixels, σ 1.5, per channel, valid region only.

The distance behind it is 1 − SSIM. Reported with its loss; it does not gate unless named (see psnr.py).
"""

from functools import cache
from typing import Any, ClassVar

import numpy as np

from harness.core.quality import Definition, MetricKind
from harness.metrics._base import Floats, Metric, PairScorer
from harness.metrics._devices import exact, library, to_array, to_unit
from harness.metrics._pixels import pixel_network
from harness.metrics._weights import Weights

WINDOW, SIGMA = 11, 1.5
C1, C2 = 0.01**2, 0.03**2


class _Scorer(PairScorer):
    def __init__(self) -> None:
        self.network = pixel_network()

    def distances(self, first: Any, second: Any) -> Floats:
        with exact():
            # Centred on mid-grey: the variances below are differences of squares, which float32 would blur otherwise.
            x, y = to_unit(first) - 0.5, to_unit(second) - 0.5
            import torch

            smooth = _blur(torch.cat([x, y, x * x, y * y, x * y]))
            mean_x, mean_y, xx, yy, xy = smooth.chunk(5)
            variance_x, variance_y = xx - mean_x**2, yy - mean_y**2
            covariance = xy - mean_x * mean_y
            mean_x, mean_y = mean_x + 0.5, mean_y + 0.5
            top = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
            bottom = (mean_x**2 + mean_y**2 + C1) * (variance_x + variance_y + C2)
            found: Floats = to_array((top / bottom).double().mean(dim=(1, 2, 3)))
        return 1 - found


@cache
def _kernel() -> Any:
    import torch

    ticks = np.arange(WINDOW) - WINDOW // 2
    weights = np.exp(-(ticks**2) / (2 * SIGMA**2))
    return torch.tensor(weights / weights.sum(), dtype=torch.float32)


def _blur(images: Any) -> Any:
    """Separable Gaussian of tensors (n, 3, height, width), valid region only."""
    from torch.nn import functional

    kernel = _kernel().to(images.device)
    flat = images.flatten(0, 1).unsqueeze(1)
    flat = functional.conv2d(functional.conv2d(flat, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
    return flat.unflatten(0, images.shape[:2]).squeeze(2)


class Ssim(Metric):
    """1 − SSIM underneath, SSIM in reports."""

    kind: ClassVar[MetricKind] = "paired"
    gates_by_default: ClassVar[bool] = False
    least_pixels: ClassVar[int] = WINDOW

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            extractor="Gaussian window 11 px, sigma 1.5, per channel, valid region",
            weights_sha256="",
            resize="none",
            value_range="uint8 RGB",
            reference="the baseline's image of the same prompt and seed",
            library=library("torch"),
            better="higher",
        )

    def load(self, weights: Weights) -> PairScorer:
        return _Scorer()

    def to_score(self, distances: Floats) -> Floats:
        """Return SSIM."""
        return 1 - distances
