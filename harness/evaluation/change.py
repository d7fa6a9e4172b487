"""The change of one metric between the baseline and a variant, before it is stored."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np

from harness.core.units import Absent
from harness.evaluation.feature_store import FeatureStore, Reader
from harness.evaluation.image_sets import ImageSets, Variant
from harness.stats.bootstrap import Estimate, Floats

LEAST_PROMPTS = 10
"""With fewer prompts an interval would be a guess, so there is none."""
TOO_FEW = Absent(absent=f"fewer than {LEAST_PROMPTS} prompts: no interval can be given")


class Change(NamedTuple):
    """Scores of both, the candidate's estimate, both losses, anchors of the calibrated loss.

    `resolved_from`: prompts from which on bounds need no allowance for few images; None if they
    need none.
    """

    baseline: float
    candidate: float
    score: Estimate | Absent
    literal: Estimate | Absent
    loss: Estimate | Absent
    calibration: dict[str, float]
    resolved_from: int | None = None


@dataclass(frozen=True)
class ComparisonContext:
    """What a comparison needs: image sets, their features, number of bootstrap resamples."""

    image_sets: ImageSets
    feature_store: FeatureStore
    resamples: int

    def read_rows(self, reader: Reader, variant: Variant, images: int | None = None) -> Floats:
        """Return a metric's rows (n, d) of a variant's first images in float64."""
        rows = self.feature_store.rows(reader, variant)[:images]
        return np.asarray(rows, dtype=np.float64)


class Comparer(Protocol):
    """A metric that compares variants with the baseline."""

    context: ComparisonContext
    reader: Reader

    def change(self, variant: Variant, prompts: int) -> Change:
        """Return the change of a variant over the first `prompts` prompts."""

    def image_values(self, variant: Variant) -> list[float]:
        """Return the reported value of each image by key; empty if images have none."""
