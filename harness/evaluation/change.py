"""What one metric says of one variant against the baseline, before it becomes a stored record."""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from harness.core.units import Absent
from harness.evaluation.feature_store import FeatureStore, Reader
from harness.evaluation.image_sets import ImageSets, Variant
from harness.stats.bootstrap import Estimate

LEAST_PROMPTS = 10
"""Below this many prompts an interval would be a guess, so there is none."""
TOO_FEW = Absent(absent=f"fewer than {LEAST_PROMPTS} prompts: no interval can be given")


class Change(NamedTuple):
    """Scores of both, the candidate's estimate, both losses, and the anchors of the calibrated one.

    `resolved_from`: prompts from which on bounds need no allowance for few images; None where they
    have none.
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
    """What comparing needs: who is compared, what was seen of them, and how many resamples to draw."""

    image_sets: ImageSets
    feature_store: FeatureStore
    resamples: int


class Comparer(Protocol):
    """One metric ready to compare variants with the baseline."""

    context: ComparisonContext
    reader: Reader

    def change(self, variant: Variant, prompts: int) -> Change:
        """Return the change of a variant over the first `prompts` prompts."""

    def image_values(self, variant: Variant) -> list[float]:
        """Return the reported value of each picture, in the order of keys; empty if single pictures have none."""
