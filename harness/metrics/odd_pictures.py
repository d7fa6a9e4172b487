"""Odd pictures: how many have detail that the baseline's picture of the same prompt has not?

Distances between sets dilute a few bad pictures among many good ones; this metric counts them one by one. It reads the
18 numbers of `detail`, so it needs no weights and no further look at a picture.
"""

from typing import ClassVar

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _detail
from harness.metrics._base import FeatureScorer, Metric
from harness.metrics._devices import library
from harness.metrics._weights import Weights


class OddPictures(Metric):
    """Gates every cell: pictures are compared with the baseline at other seeds, not against the same noise."""

    question: ClassVar[Question] = "fidelity"
    kind: ClassVar[MetricKind] = "prompt-wise"
    least_pixels: ClassVar[int] = _detail.LEAST_PIXELS
    floor: ClassVar[float] = _detail.JUST_VISIBLE
    needs_baseline: ClassVar[bool] = True

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_detail.EXTRACTOR,
            weights_sha256="",
            resize="none",
            value_range="uint8 RGB to luma in grey levels",
            reference="the baseline's picture of the same prompt at another seed",
            library=library("torch"),
            better="lower",
            formula="1 if the largest standardized difference is above the 95th percentile of the baseline's, else 0",
        )

    def load(self, weights: Weights) -> FeatureScorer:
        return _detail.DetailScorer()
