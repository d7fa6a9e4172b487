"""Paired metrics (LPIPS, PSNR, SSIM): loss = (d(c, b) − floor) / (d(b, b′) − floor).

b′ is the baseline at another seed and floor the distance between two runs of the baseline. The
floor was measured on the first prompts only; without a rerun it counts as 0, which can only make a
loss larger.
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

NO_LITERAL = Absent(absent="the baseline's distance to itself is 0, so there is no relative change of it")


class PairedComparer:
    """Compares each picture with the baseline's picture of the same prompt and seed."""

    def __init__(self, context: ComparisonContext, reader: Reader, to_score: Callable[[Floats], Floats]) -> None:
        self.context, self.reader, self.to_score = context, reader, to_score

    def distances(self, variant: Variant) -> Floats:
        """Return the distance of each picture to its partner."""
        if variant is self.context.image_sets.baseline:
            return np.zeros(len(variant.pictures))
        return np.asarray(self.context.feature_store.rows(self.reader, variant)[:, 0], dtype=np.float64)

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
            return bare._replace(loss=Absent(absent="the baseline's other-seed run did not complete"))
        floor = self._floor(prompts)
        apart_seeds = cluster_means(self.distances(other)[: prompts * seeds], prompts)
        calibration = {"floor": float(floor.mean()), "other seed": float(apart_seeds.mean())}
        bare = bare._replace(calibration=calibration)
        if signal_to_noise(apart_seeds - floor) < CLEAR:
            reason = "two seeds of the baseline are no further apart than two runs: there is no range to lose"
            return bare._replace(loss=Absent(absent=reason))
        return bare._replace(loss=ratio(apart - floor, apart_seeds - floor, draws))

    def _baseline_score(self, prompts: int) -> float:
        """The score of the baseline's rerun, or of the baseline with itself where there is none."""
        rerun = self.context.image_sets.rerun
        measured = self.distances(rerun)[: prompts * self.context.image_sets.seeds] if rerun else np.zeros(1)
        return float(self.to_score(measured).mean())
