"""Metrics that compare image by image: paired (LPIPS, PSNR, SSIM) and prompt-wise (odd images).

Paired: loss = (d(c, b) − floor) / (d(b, b′) − floor). b′ is the baseline at another seed and floor
the distance between two runs of the baseline. The floor is measured on the first prompts only;
without a rerun it counts as 0, which can only make a loss larger.

Prompt-wise: how many images are odd compared with the baseline's image of the same prompt at
another seed.

    t(x) = max_j |f_j(x) − f_j(b′)| / √(var_j(f(b) − f(b′)) + floor²)

An image is odd if t is above the 95th percentile of the baseline's own; loss = (share_c − share_b)
/ (1 − share_b). Noise is not shared with b′, so cells of any trajectory may be judged. The
threshold depends on the few largest of the baseline's values: intervals resample prompts, and
compute the threshold of each resample anew.
"""

from collections.abc import Callable

import numpy as np

from harness.core.units import Absent
from harness.evaluation.alignment import CLEAR
from harness.evaluation.change import LEAST_PROMPTS, TOO_FEW, Change, ComparisonContext
from harness.evaluation.feature_store import Reader
from harness.evaluation.image_sets import Variant
from harness.stats.bootstrap import (
    Floats,
    cluster_means,
    mean,
    ratio,
    signal_to_noise,
    spread_subset,
)
from harness.stats.proportions import excess, threshold

NO_LITERAL = Absent(
    absent="the baseline's distance to itself is 0, so there is no relative change of it"
)


NO_RANGE = Absent(absent="two seeds of the baseline are no further apart than two runs of it")
NO_OTHER_SEED = Absent(absent="the baseline's other-seed run did not complete")


class PairedComparer:
    """Compares each image with the baseline's image of the same prompt and seed."""

    def __init__(
        self, context: ComparisonContext, reader: Reader, to_score: Callable[[Floats], Floats]
    ) -> None:
        self.context, self.reader, self.to_score = context, reader, to_score

    def distances(self, variant: Variant) -> Floats:
        """Return the distance of each image to the baseline's."""
        if variant is self.context.image_sets.baseline:
            return np.zeros(len(variant.images))
        return self.context.read_rows(self.reader, variant)[:, 0]

    def image_values(self, variant: Variant) -> list[float]:
        return [float(value) for value in self.to_score(self.distances(variant))]

    def _floor(self, prompts: int) -> Floats:
        """Return per-prompt terms (prompts,) whose mean is the floor."""
        rerun = self.context.image_sets.rerun
        if rerun is None:
            return np.zeros(prompts)
        measured = self.distances(rerun)
        known = cluster_means(measured, len(measured) // self.context.image_sets.seeds)[:prompts]
        return spread_subset(known, prompts)

    def change(self, variant: Variant, prompts: int) -> Change:
        seeds, draws = self.context.image_sets.seeds, self.context.resamples
        apart = cluster_means(self.distances(variant)[: prompts * seeds], prompts)
        shown = cluster_means(self.to_score(self.distances(variant))[: prompts * seeds], prompts)
        itself = self._baseline_score(prompts)
        bare = Change(itself, float(shown.mean()), TOO_FEW, TOO_FEW, TOO_FEW, {})
        if prompts < LEAST_PROMPTS:
            return bare
        bare = bare._replace(score=mean(shown, draws), literal=NO_LITERAL)
        other = self.context.image_sets.other_seed
        if other is None:
            return bare._replace(loss=NO_OTHER_SEED)
        floor = self._floor(prompts)
        apart_seeds = cluster_means(self.distances(other)[: prompts * seeds], prompts)
        calibration = {"floor": float(floor.mean()), "other seed": float(apart_seeds.mean())}
        bare = bare._replace(calibration=calibration)
        if signal_to_noise(apart_seeds - floor) < CLEAR:
            return bare._replace(loss=NO_RANGE)
        return bare._replace(loss=ratio(apart - floor, apart_seeds - floor, draws))

    def _baseline_score(self, prompts: int) -> float:
        """Return the score of the baseline's rerun, or without one of the baseline with itself."""
        rerun = self.context.image_sets.rerun
        measured = (
            self.distances(rerun)[: prompts * self.context.image_sets.seeds]
            if rerun
            else np.zeros(1)
        )
        return float(self.to_score(measured).mean())


class PromptWiseComparer:
    """Compares the shares of odd images."""

    def __init__(self, context: ComparisonContext, reader: Reader, floor: float) -> None:
        self.context, self.reader, self.floor = context, reader, floor
        self._others: dict[int, tuple[Floats, Floats]] = {}

    def _features(self, variant: Variant, images: int) -> Floats:
        return self.context.read_rows(self.reader, variant, images)

    def _other(self, images: int) -> tuple[Floats, Floats]:
        """Return the features of the first images at other seeds and their units, cached."""
        if images not in self._others:
            image_sets = self.context.image_sets
            assert image_sets.other_seed is not None
            base, other = (
                self._features(which, images)
                for which in (image_sets.baseline, image_sets.other_seed)
            )
            self._others[images] = other, np.sqrt((base - other).var(axis=0) + self.floor**2)
        return self._others[images]

    def distances(self, variant: Variant, images: int) -> Floats:
        """Return the distance of each of the first images to the baseline's at other seeds."""
        other, scale = self._other(images)
        return np.asarray((np.abs(self._features(variant, images) - other) / scale).max(axis=1))

    def image_values(self, variant: Variant) -> list[float]:
        other = self.context.image_sets.other_seed
        if other is None:
            return []
        images = min(len(variant.images), len(other.images))
        return [float(value) for value in self.distances(variant, images)]

    def change(self, variant: Variant, prompts: int) -> Change:
        bare = Change(0.0, 0.0, TOO_FEW, TOO_FEW, TOO_FEW, {})
        if self.context.image_sets.other_seed is None:
            return bare._replace(score=NO_OTHER_SEED, literal=NO_OTHER_SEED, loss=NO_OTHER_SEED)
        images = prompts * self.context.image_sets.seeds
        before, after = (
            self.distances(which, images) for which in (self.context.image_sets.baseline, variant)
        )
        limit = threshold(before)
        odd = [(values > limit).reshape(prompts, -1).mean(axis=1) for values in (before, after)]
        bare = bare._replace(baseline=float(odd[0].mean()), candidate=float(odd[1].mean()))
        if prompts < LEAST_PROMPTS:
            return bare
        found = excess(
            before.reshape(prompts, -1), after.reshape(prompts, -1), self.context.resamples
        )
        return bare._replace(score=mean(odd[1], self.context.resamples), literal=found, loss=found,
                             calibration={"threshold": limit})  # fmt: skip
