"""Metrics of image and prompt: alignment (CLIP score) and correctness.

Loss = (mean_b − mean_c) / (mean_b − chance). Chance of an alignment metric is the mean score of the
baseline's images against all other prompts of the set whose text differs, every pairing counted
once. Its uncertainty is propagated through the first-order (Hájek) terms of that U-statistic.

Chance of a correctness metric is what the baseline's images show of other prompts: each is checked
once more against the prompt before its own whose text differs. Values of single images are 0 or 1
for most such metrics and near 1 on average, where a bootstrap is too certain: bounds are then those
of paired proportions (`stats.proportions`).
"""

from collections.abc import Callable
from functools import cached_property

import numpy as np

from harness.core.quality import Uncertainty
from harness.core.units import Absent
from harness.evaluation.change import LEAST_PROMPTS, TOO_FEW, Change, ComparisonContext
from harness.evaluation.feature_store import Reader
from harness.evaluation.image_sets import Variant
from harness.stats.bootstrap import Estimate, Floats, cluster_means, mean, ratio, signal_to_noise
from harness.stats.confidence import interval, transform
from harness.stats.proportions import METHOD, difference

ALIKE = Absent(absent="all prompts are the same text: chance cannot be measured")
NEAR_CHANCE = Absent(
    absent="the baseline's images match their own prompts no better than other prompts"
)
CLEAR = 5.0
"""The baseline must be this many standard errors above chance, or there is no range to lose."""


class AlignmentComparer:
    """Compares cosines of images and prompts."""

    def __init__(
        self, context: ComparisonContext, reader: Reader, to_score: Callable[[Floats], Floats]
    ) -> None:
        self.context, self.reader, self.to_score = context, reader, to_score

    @cached_property
    def _texts(self) -> Floats:
        return np.asarray(self.context.feature_store.texts(self.reader), dtype=np.float64)

    def _features(self, variant: Variant) -> Floats:
        return self.context.read_rows(self.reader, variant)

    def scores(self, variant: Variant) -> Floats:
        """Return the score of each image with its own prompt."""
        images = self._features(variant)
        own = np.repeat(self._texts, self.context.image_sets.seeds, axis=0)[: len(images)]
        return self.to_score(np.einsum("nd,nd->n", images, own))

    def image_values(self, variant: Variant) -> list[float]:
        return [float(value) for value in self.scores(variant)]

    def chance(self, prompts: int) -> Floats | None:
        """Return per-prompt terms (prompts,) whose mean is chance; None if all texts are equal."""
        images = self._features(self.context.image_sets.baseline)
        images = images.reshape(len(self._texts), -1, images.shape[1]).mean(axis=1)[:prompts]
        texts = self._texts[:prompts]
        _, group = np.unique(np.array(self.context.image_sets.texts[:prompts]), return_inverse=True)
        others = prompts - np.bincount(group)[group]
        if not others.all():
            return None
        rows = np.einsum("nd,nd->n", images, _without_own_group(texts, group)) / others
        columns = np.einsum("nd,nd->n", texts, _without_own_group(images, group)) / others
        overall = float((rows * others).sum() / others.sum())
        return self.to_score(rows + columns - overall)

    def clear_chance(self) -> float | None:
        """Return chance, or None if the baseline is not clearly above it."""
        prompts = self.context.image_sets.prompts
        chance = self.chance(prompts)
        before = cluster_means(self.scores(self.context.image_sets.baseline), prompts)
        if chance is None or prompts < LEAST_PROMPTS or signal_to_noise(before - chance) < CLEAR:
            return None
        return float(chance.mean())

    def change(self, variant: Variant, prompts: int) -> Change:
        count = prompts * self.context.image_sets.seeds
        before = cluster_means(self.scores(self.context.image_sets.baseline)[:count], prompts)
        after = cluster_means(self.scores(variant)[:count], prompts)
        bare = Change(float(before.mean()), float(after.mean()), TOO_FEW, TOO_FEW, TOO_FEW, {})
        if prompts < LEAST_PROMPTS:
            return bare
        drop, draws = before - after, self.context.resamples
        bare = bare._replace(score=mean(after, draws))
        if signal_to_noise(before) >= CLEAR:
            bare = bare._replace(literal=ratio(drop, before, draws))
        else:
            bare = bare._replace(
                literal=Absent(absent="the baseline's own score is not clearly above zero")
            )
        chance = self.chance(prompts)
        if chance is None:
            return bare._replace(loss=ALIKE)
        bare = bare._replace(calibration={"chance": float(chance.mean())})
        if signal_to_noise(before - chance) < CLEAR:
            return bare._replace(loss=NEAR_CHANCE)
        return bare._replace(loss=ratio(drop, before - chance, draws))


def _without_own_group(vectors: Floats, group: np.ndarray) -> Floats:
    """Return, for each row, the sum of all rows (n, d) of other groups."""
    sums = np.zeros((int(group.max()) + 1, vectors.shape[1]))
    np.add.at(sums, group, vectors)
    return np.asarray(vectors.sum(axis=0) - sums[group])


class CorrectnessComparer:
    """Compares what images show of their prompts."""

    def __init__(self, context: ComparisonContext, reader: Reader) -> None:
        self.context, self.reader = context, reader

    def found(self, variant: Variant) -> Floats:
        """Return the share of its prompt that each image shows."""
        return self.context.read_rows(self.reader, variant)[:, 0]

    def image_values(self, variant: Variant) -> list[float]:
        return [float(value) for value in self.found(variant)]

    @cached_property
    def _chance(self) -> Floats | None:
        """Return what the baseline's images show of other prompts, one value per image."""
        mismatched = self.context.image_sets.mismatched
        return None if mismatched is None else self.found(mismatched)

    def change(self, variant: Variant, prompts: int) -> Change:
        count, draws = prompts * self.context.image_sets.seeds, self.context.resamples
        before, after = (
            self.found(self.context.image_sets.baseline)[:count],
            self.found(variant)[:count],
        )
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

    def _lost(
        self, before: Floats, after: Floats, chance: Floats, prompts: int
    ) -> Estimate | Absent:
        """Return mean(before − after) / mean(before − chance); absent unless that is above 0."""
        span = float((before - chance).mean())
        if span <= 0:
            return NEAR_CHANCE
        if not (_is_binary(before) and _is_binary(after)):
            numerator, denominator = (
                cluster_means(values, prompts) for values in (before - after, before - chance)
            )
            return ratio(numerator, denominator, self.context.resamples)
        seeds = (
            self.context.image_sets.seeds
        )  # seeds of a prompt may change together: they count as one
        lost, gained = (
            float(np.maximum(sign * (before - after), 0).sum()) / seeds for sign in (1, -1)
        )
        return _estimate(
            float((before - after).mean()) / span, difference(lost, gained, prompts), span
        )


def _is_binary(values: Floats) -> bool:
    return bool(np.isin(values, (0.0, 1.0)).all())


def _estimate(value: float, shares: Uncertainty, span: float) -> Estimate:
    distribution = transform(shares, lambda share: share / span)
    return Estimate(value, distribution, interval(distribution, value, METHOD))
