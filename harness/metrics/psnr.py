"""The network that is none: pictures as they are, for PSNR and SSIM.

PSNR: peak signal-to-noise ratio of uint8 RGB, in dB. Reported with its loss; it does not gate unless named.

The distance behind it is the mean squared error, which is 0 for identical pictures and averages soundly; its
calibrated loss is the share of the squared error between two seeds. The reported value per picture is in dB, at most
100 dB: identical pictures would be infinite, and no record holds an infinity. A pixel metric punishes a shift by one
pixel that nobody sees, so the gate leaves it out unless a rule names it."""

from functools import cache
from typing import Any, ClassVar

import numpy as np

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics._base import Floats, Metric, Network, PairScorer, Pixels
from harness.metrics._devices import library
from harness.metrics._weights import Weights


class PixelNetwork(Network):
    """Hands pictures on as uint8."""

    def extract(self, pictures: Pixels) -> Any:
        return pictures


@cache
def pixel_network() -> PixelNetwork:
    """Return the one shared instance."""
    return PixelNetwork()


PEAK = 255.0
CEILING_DB = 100.0


class _Scorer(PairScorer):
    def __init__(self) -> None:
        self.network = pixel_network()

    def distances(self, first: Any, second: Any) -> Floats:
        apart = first.astype(np.float32) - second.astype(np.float32)
        return np.asarray(np.einsum("nhwc,nhwc->n", apart, apart, dtype=np.float64) / apart[0].size)


class Psnr(Metric):
    """Mean squared error underneath, decibels in reports."""

    question: ClassVar[Question] = "identity"
    kind: ClassVar[MetricKind] = "paired"
    gates_by_default: ClassVar[bool] = False

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor="pixels; identical pictures count as 100 dB",
            weights_sha256="",
            resize="none",
            value_range="uint8 RGB",
            reference="the baseline's image of the same prompt and seed",
            library=library("numpy"),
            better="higher",
            unit="dB",
        )

    def load(self, weights: Weights) -> PairScorer:
        return _Scorer()

    def to_score(self, distances: Floats) -> Floats:
        """Return decibels of mean squared errors (n,)."""
        least = PEAK**2 / 10 ** (CEILING_DB / 10)
        return np.asarray(10 * np.log10(PEAK**2 / np.maximum(distances, least)))
