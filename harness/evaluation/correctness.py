"""Correctness metrics: loss = (mean_b − mean_c) / (mean_b − chance), in shares of what prompts ask for.

Chance is what the baseline's pictures show of other prompts: each is checked once more against the prompt before its
own whose text differs. Values of single pictures are 0 or 1 for most such metrics and near 1 on average, where a
bootstrap is too sure: bounds are then those of paired proportions (stats.paired_binary).
"""

from functools import cached_property

import numpy as np

from harness.core.quality import Uncertainty
from harness.core.units import Absent
from harness.evaluation.alignment import CLEAR
from harness.evaluation.change import LEAST_PROMPTS, TOO_FEW, Change, Scene
from harness.evaluation.lineup import Variant
from harness.evaluation.looking import Reader
from harness.stats.bootstrap import Estimate, Floats, cluster_means, mean, ratio, signal_to_noise
from harness.stats.confidence import interval, transform
from harness.stats.proportions import METHOD, difference

ALIKE = Absent(absent="all prompts are the same text: chance cannot be measured")
NEAR_CHANCE = Absent(
    absent="the baseline's pictures show their own prompts no better than other prompts: there is nothing to lose"
)


class CorrectnessComparer:
    """Compares what is found of the prompts in pictures."""

    def __init__(self, scene: Scene, reader: Reader) -> None:
        self.scene, self.reader = scene, reader

    def found(self, variant: Variant) -> Floats:
        """Return the share of its prompt that each picture shows."""
        return np.asarray(self.scene.sight.rows(self.reader, variant)[:, 0], dtype=np.float64)

    def image_values(self, variant: Variant) -> list[float]:
        return [float(value) for value in self.found(variant)]

    @cached_property
    def _chance(self) -> Floats | None:
        """Return what the baseline's pictures show of other prompts, one value a picture."""
        mismatched = self.scene.lineup.mismatched
        return None if mismatched is None else self.found(mismatched)

    def change(self, variant: Variant, prompts: int) -> Change:
        count, draws = prompts * self.scene.lineup.seeds, self.scene.resamples
        before, after = self.found(self.scene.lineup.baseline)[:count], self.found(variant)[:count]
        bare = Change(float(before.mean()), float(after.mean()), TOO_FEW, TOO_FEW, TOO_FEW, {})
        if prompts < LEAST_PROMPTS:
            return bare
        bare = bare._replace(score=mean(cluster_means(after, prompts), draws))
        bare = bare._replace(literal=self._lost(before, after, np.zeros_like(before), prompts))
        if self._chance is None:
            return bare._replace(loss=ALIKE)
        chance = self._chance[:count]
        bare = bare._replace(calibration={"chance": float(chance.mean())})
        if signal_to_noise(cluster_means(before - chance, prompts)) < CLEAR:
            return bare._replace(loss=NEAR_CHANCE)
        return bare._replace(loss=self._lost(before, after, chance, prompts))

    def _lost(self, before: Floats, after: Floats, chance: Floats, prompts: int) -> Estimate | Absent:
        """Return the mean of before − after over that of before − chance; absent where that is not above 0."""
        span = float((before - chance).mean())
        if span <= 0:
            return NEAR_CHANCE
        if not (_is_binary(before) and _is_binary(after)):
            numerator, denominator = (cluster_means(values, prompts) for values in (before - after, before - chance))
            return ratio(numerator, denominator, self.scene.resamples)
        seeds = self.scene.lineup.seeds  # seeds of a prompt may change together: they count as one
        lost, gained = (float(np.maximum(sign * (before - after), 0).sum()) / seeds for sign in (1, -1))
        return _estimate(float((before - after).mean()) / span, difference(lost, gained, prompts), span)


def _is_binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _estimate(value: float, shares: Uncertainty, span: float) -> Estimate:
    distribution = transform(shares, lambda share: share / span)
    return Estimate(value, distribution, interval(distribution, value, METHOD))
