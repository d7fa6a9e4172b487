"""Prompt-wise metrics: how many pictures are odd beside the baseline's picture of the same prompt at another seed.

    t(x) = max_j |f_j(x) − f_j(b′)| / √(var_j(f(b) − f(b′)) + floor²)

A picture is odd if t is above the 95th percentile of the baseline's own; loss = (share_c − share_b) / (1 − share_b).
Noise is not shared with b′, so a cell that changes the trajectory may be judged. The threshold rests on the few
largest of the baseline's values: intervals resample prompts, and find the threshold of each resample anew.
"""

import numpy as np

from harness.core.units import Absent
from harness.evaluation.change import LEAST_PROMPTS, TOO_FEW, Change, ComparisonContext
from harness.evaluation.feature_store import Reader
from harness.evaluation.image_sets import Variant
from harness.stats.bootstrap import Floats, mean
from harness.stats.proportions import excess, threshold

NO_OTHER_SEED = Absent(absent="the baseline's other-seed run did not complete")


class PromptWiseComparer:
    """Compares the shares of odd pictures."""

    def __init__(self, context: ComparisonContext, reader: Reader, floor: float) -> None:
        self.context, self.reader, self.floor = context, reader, floor
        self._others: dict[int, tuple[Floats, Floats]] = {}

    def _features(self, variant: Variant, images: int) -> Floats:
        return np.asarray(self.context.feature_store.rows(self.reader, variant)[:images], dtype=np.float64)

    def _other(self, images: int) -> tuple[Floats, Floats]:
        """Return the features of the first pictures at other seeds and the unit of each; kept for all variants."""
        if images not in self._others:
            image_sets = self.context.image_sets
            assert image_sets.other_seed is not None
            base, other = (self._features(which, images) for which in (image_sets.baseline, image_sets.other_seed))
            self._others[images] = other, np.sqrt((base - other).var(axis=0) + self.floor**2)
        return self._others[images]

    def distances(self, variant: Variant, images: int) -> Floats:
        """Return how far each of the first pictures is from the baseline's of the same prompt at other seeds."""
        other, scale = self._other(images)
        return np.asarray((np.abs(self._features(variant, images) - other) / scale).max(axis=1))

    def image_values(self, variant: Variant) -> list[float]:
        other = self.context.image_sets.other_seed
        if other is None:
            return []
        images = min(len(variant.pictures), len(other.pictures))
        return [float(value) for value in self.distances(variant, images)]

    def change(self, variant: Variant, prompts: int) -> Change:
        bare = Change(0.0, 0.0, TOO_FEW, TOO_FEW, TOO_FEW, {})
        if self.context.image_sets.other_seed is None:
            return bare._replace(score=NO_OTHER_SEED, literal=NO_OTHER_SEED, loss=NO_OTHER_SEED)
        images = prompts * self.context.image_sets.seeds
        before, after = (self.distances(which, images) for which in (self.context.image_sets.baseline, variant))
        limit = threshold(before)
        odd = [(values > limit).reshape(prompts, -1).mean(axis=1) for values in (before, after)]
        bare = bare._replace(baseline=float(odd[0].mean()), candidate=float(odd[1].mean()))
        if prompts < LEAST_PROMPTS:
            return bare
        found = excess(before.reshape(prompts, -1), after.reshape(prompts, -1), self.context.resamples)
        return bare._replace(score=mean(odd[1], self.context.resamples), literal=found, loss=found,
                             calibration={"threshold": limit})  # fmt: skip
