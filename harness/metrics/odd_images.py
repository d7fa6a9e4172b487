"""Odd images: how many images have detail that the baseline's image of the same prompt lacks?

Distances between sets dilute a few bad images among many good ones; this metric counts them one by
one. It reads the 18 features of `detail`, so it needs no weights and no further feature extraction.
"""

from typing import ClassVar

from harness.core.quality import MetricKind
from harness.metrics._fidelity import DetailMetric


class OddImages(DetailMetric):
    """Gates every cell: images are compared with other seeds, not with the same noise."""

    kind: ClassVar[MetricKind] = "prompt-wise"

    @property
    def formula(self) -> str:
        return (
            "1 if the largest standardized difference is above the 95th percentile of the "
            "baseline's, else 0"
        )
