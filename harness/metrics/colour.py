"""Colour: are brightness, contrast and saturation the baseline's?

The Fréchet distance of 30 numbers of a picture's tones, in units of 16 grey levels where prompts fix the colours: a
loss of 5 % is a change by 3.6 grey levels in all of them. It needs no weights and about 4 ms for 512×512 pixels.
"""

from typing import ClassVar

from harness.core.quality import Definition, MetricKind, Question
from harness.metrics import _tones
from harness.metrics._base import FeatureScorer, Metric
from harness.metrics._devices import library
from harness.metrics._weights import Weights


class Colour(Metric):
    """Gates every cell: it compares sets, so pictures may differ as long as their colours are alike."""

    question: ClassVar[Question] = "fidelity"
    kind: ClassVar[MetricKind] = "distribution"
    floor: ClassVar[float] = _tones.JUST_VISIBLE
    needs_baseline: ClassVar[bool] = True

    @property
    def dimensions(self) -> int:
        return _tones.FEATURES

    def define(self, weights: Weights) -> Definition:
        return Definition(
            metric=self.name,
            kind=self.kind,
            question=self.question,
            extractor=_tones.EXTRACTOR,
            weights_sha256="",
            resize="none",
            value_range="uint8 RGB, counted in quarters of a grey level",
            reference="",
            library=library("numpy"),
            better="lower",
            formula=f"squared Fréchet distance in units of √(variance within prompts + {self.floor:g}²)",
        )

    def load(self, weights: Weights) -> FeatureScorer:
        return _tones.ToneScorer()
