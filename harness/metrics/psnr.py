"""PSNR: peak signal-to-noise ratio of uint8 RGB, in dB. Reported with its loss.

Gates only where a rule names it. The underlying distance is the mean squared error, which is 0 for
identical images and can be averaged; its calibrated loss is the share of the squared error between
two seeds. The reported value per image is in dB, at most 100 dB: for identical images it would be
infinite, which no record can store. A pixel metric punishes an invisible shift by one pixel, so the
gate ignores it by default.
"""

from functools import cache
from typing import Any, ClassVar

import numpy as np

from harness.core.quality import MetricKind, Question
from harness.metrics._base import Description, Floats, Metric, Network, PairScorer, Pixels
from harness.metrics._weights import Weights

PEAK = 255.0
CEILING_DB = 100.0


class PixelNetwork(Network):
    """Returns images unchanged, as uint8."""

    def extract(self, pixels: Pixels) -> Any:
        return pixels


@cache
def get_pixel_network() -> PixelNetwork:
    """Return the shared instance."""
    return PixelNetwork()


class _Scorer(PairScorer):
    def __init__(self) -> None:
        self.network = get_pixel_network()

    def distances(self, first: Any, second: Any) -> Floats:
        apart = first.astype(np.float32) - second.astype(np.float32)
        return np.asarray(np.einsum("nhwc,nhwc->n", apart, apart, dtype=np.float64) / apart[0].size)


class Psnr(Metric):
    """The distance is the mean squared error; scores are decibels."""

    question: ClassVar[Question] = "identity"
    kind: ClassVar[MetricKind] = "paired"
    gates_by_default: ClassVar[bool] = False

    def describe(self) -> Description:
        extractor = "pixels; identical images count as 100 dB"
        return Description(extractor, "uint8 RGB", ("numpy",), better="higher", unit="dB")

    def load(self, weights: Weights) -> PairScorer:
        return _Scorer()

    def to_score(self, distances: Floats) -> Floats:
        """Return decibels of mean squared errors (n,)."""
        least = PEAK**2 / 10 ** (CEILING_DB / 10)
        return np.asarray(10 * np.log10(PEAK**2 / np.maximum(distances, least)))
