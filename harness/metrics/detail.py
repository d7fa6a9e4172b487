"""Detail: are pictures as sharp and as clean as the baseline's, at their own resolution?

The Fréchet distance of 18 numbers of fine structure. It sees blur, lower resolution, noise, compression, sharpening
and banding, which FID and CLIP score were trained to ignore; it needs no weights and about 5 ms for 512×512 pixels.
"""

from typing import ClassVar

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _detail
from harness.metrics._base import FeatureScorer, Metric
from harness.metrics._devices import library
from harness.metrics._weights import Weights


class Detail(Metric):
    """Gates every cell: it compares sets, so pictures may differ as long as they are as sharp."""

    question: ClassVar[Question] = "fidelity"
    kind: ClassVar[MetricKind] = "distribution"
    least_pixels: ClassVar[int] = _detail.LEAST_PIXELS
    floor: ClassVar[float] = _detail.JUST_VISIBLE
    needs_baseline: ClassVar[bool] = True

    @property
    def dimensions(self) -> int:
        return _detail.FEATURES

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_detail.EXTRACTOR,
            weights_sha256="",
            resize="none",
            value_range="uint8 RGB to luma in grey levels",
            reference="",
            library=library("torch"),
            better="lower",
            formula=f"squared Fréchet distance in units of √(variance within prompts + {self.floor:g}²)",
        )

    def load(self, weights: Weights) -> FeatureScorer:
        return _detail.DetailScorer()
