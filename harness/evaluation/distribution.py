"""Distribution metrics (FID, KID, CMMD): the change of the distance to a reference set, two-sided.

With a reference set of real images, loss = |D_c − D_b| / D_b.

Without one, the reference b′ is the baseline at other seeds. D_b = D(b, b′) is then not a property
of the baseline: both sets come from one distribution, so a Fréchet distance is pure small-sample
bias that shrinks as 1 / N (the same candidate would lose 150 % at N = 256 and 280 % at N = 500,
simulated) and an unbiased MMD² is 0 except for noise. So the scale is anchored at "destroyed" as
for the other metrics: loss = |D_c − D_b| / (S − D_b), where S is the total variance of b′ in the
space of the distance: 0 % is a rerun of the baseline, 100 % all variety lost.

- Fréchet: S = tr Σ of the features, the distance of b′ to itself collapsed onto its average image;
- MMD²: S = E k(y, y) − E k(y, y′), the distance of b′ to itself collapsed onto one of its images,
  on average. With a linear kernel that is tr Σ again. The average image would not do: CMMD's kernel
  is so wide that it is nearly linear, and b′ collapsed onto its mean is at distance 0. Neither
  would a black image: its distance is an accident of the network.

Metrics of fidelity (detail, colour) always use b′ as their reference: real images have damages of
other kinds, and the question is what the cell adds to the baseline's. They have a just-visible
change, `floor`, for each feature. Features are expressed in units of √(w + floor²), w the variance
within prompts, half that of f(b) − f(b′); S is their number, so that 100 % is one unit in every
feature, however similar the prompts of a set are.

Change and scale are corrected for small-sample bias by the jackknife (B·θ − (B − 1)·mean of the
leave-outs), the idea of FID∞ (Chong & Forsyth 2020): a candidate with less variety has less bias,
and at N = 256 the uncorrected change would pass 20 % of candidates whose true loss is exactly the
margin (simulated; corrected: at most 5 %). Where there are no more images than dimensions the rest
of the bias is estimated and allowed for (`stats.distance_loss`). Candidate and baseline share
prompts and noise, so most of the sampling noise cancels in the change.
"""

import math
from typing import Protocol

import numpy as np

from harness.core.units import Absent
from harness.evaluation.alignment import CLEAR
from harness.evaluation.change import LEAST_PROMPTS, TOO_FEW, Change, ComparisonContext
from harness.evaluation.feature_store import Reader
from harness.evaluation.image_sets import Variant
from harness.metrics import Metric
from harness.stats import jackknife as jack
from harness.stats.bootstrap import Estimate, Floats
from harness.stats.confidence import fold, interval
from harness.stats.distance_loss import NOTHING, Lost, MeasuredDistances, Missing, distance_loss
from harness.stats.frechet import FixedReference, Moments, Reference, feature_distance
from harness.stats.mmd import MmdReference, mmd

NEITHER = Absent(
    absent="no reference set in the matrix, and the baseline's other-seed run did not complete"
)
NOT_APART = Absent(absent="the baseline's distance to the reference is not clearly above 0")


class Distances(Protocol):
    """Distances to one reference: with all prompts first, then with each block of them left out."""

    @property
    def spreads(self) -> Floats:
        """The distance at which all variety is lost: as many values as distances, or one."""

    def measure(self, features: Floats) -> MeasuredDistances:
        """Return the distances of features (n, d)."""

    def missing(self, baseline: MeasuredDistances) -> Missing:
        """Return what too few images hide, measured by the baseline's distances among others."""


class DistributionComparer:
    """Compares sets of features by their distance to a reference (`real`: a reference set)."""

    def __init__(
        self,
        context: ComparisonContext,
        reader: Reader,
        metric: Metric,
        real: Floats | Moments | None = None,
    ) -> None:
        self.context, self.reader, self.metric = context, reader, metric
        self.real = None if metric.needs_baseline else real
        self._references: dict[int, tuple[Distances, MeasuredDistances]] = {}
        self._units: dict[int, Floats] = {}

    def image_values(self, variant: Variant) -> list[float]:
        return []

    def _features(self, variant: Variant, prompts: int) -> Floats:
        images = prompts * self.context.image_sets.seeds
        return self.context.read_rows(self.reader, variant, images) / self._unit(prompts)

    def _unit(self, prompts: int) -> Floats:
        """Return each feature's unit (d,): 1, or the change as large as those within prompts."""
        other = self.context.image_sets.other_seed
        if not self.metric.floor or other is None:
            return np.ones(1)
        if prompts not in self._units:
            images, baseline = (
                prompts * self.context.image_sets.seeds,
                self.context.image_sets.baseline,
            )
            first, second = (
                self.context.read_rows(self.reader, which, images) for which in (baseline, other)
            )
            self._units[prompts] = np.sqrt((first - second).var(axis=0) / 2 + self.metric.floor**2)
        return self._units[prompts]

    def _reference(self, prompts: int) -> tuple[Distances, MeasuredDistances] | None:
        """Return the reference over the first prompts with the baseline's distances, cached."""
        if prompts not in self._references:
            other = self.context.image_sets.other_seed
            if self.real is None and other is None:
                return None
            shared = (
                None if self.real is not None or other is None else self._features(other, prompts)
            )
            made = (
                self._mmd(shared)
                if self.metric.statistic == "mmd"
                else self._frechet(shared, prompts)
            )
            self._references[prompts] = (
                made,
                made.measure(self._features(self.context.image_sets.baseline, prompts)),
            )
        return self._references[prompts]

    def _frechet(self, shared: Floats | None, prompts: int) -> Distances:
        block = np.repeat(jack.assign_blocks(prompts), self.context.image_sets.seeds)
        if shared is not None:
            return Reference(shared, block)
        if isinstance(self.real, Moments):
            return FixedReference(self.real, block)
        return FixedReference.of(np.asarray(self.real), block)

    def _mmd(self, shared: Floats | None) -> Distances:
        fixed = shared is None
        features = np.asarray(self.real) if shared is None else shared
        return MmdReference(features, self.context.image_sets.seeds, self.metric.kernel, fixed)

    def change(self, variant: Variant, prompts: int) -> Change:
        if prompts < LEAST_PROMPTS:
            return self._bare(variant, prompts, TOO_FEW)
        found = self._reference(prompts)
        if found is None:
            return self._bare(variant, prompts, NEITHER)
        reference, base = found
        own = (
            base
            if variant is self.context.image_sets.baseline
            else reference.measure(self._features(variant, prompts))
        )
        before, after, spreads = base.distances, own.distances, reference.spreads
        if self.metric.floor:
            spreads = np.full_like(spreads, self.metric.dimensions)
        apart = before[0] > CLEAR * jack.standard_error(before[1:])
        literal = _signed((after - before) / before) if apart else NOT_APART
        real = self.real is not None
        anchor = {"baseline": float(before[0])} if real else {"collapsed": float(spreads[0])}
        lost = distance_loss(base, own, spreads, self._missing(reference, base), real)
        sure = lost.scale[0] > CLEAR * jack.standard_error(lost.scale[1:]) and math.isfinite(
            lost.allowance
        )
        loss = _two_sided(lost) if sure else NOT_APART
        least = self.metric.dimensions + 1
        few = math.ceil(least / self.context.image_sets.seeds) if lost.allowance > 0 else None
        return Change(float(before[0]), float(after[0]), _signed(after), literal, loss, anchor, few)

    def _missing(self, reference: Distances, base: MeasuredDistances) -> Missing:
        """Return what few images hide; features with a floor are few and need no allowance."""
        return NOTHING if self.metric.floor else reference.missing(base)

    def _bare(self, variant: Variant, prompts: int, why: Absent) -> Change:
        """Return the distance to the baseline itself: there is no reference."""
        own, base = (
            self._features(which, prompts) for which in (variant, self.context.image_sets.baseline)
        )
        if prompts * self.context.image_sets.seeds < 2:
            return Change(0.0, 0.0, why, why, why, {})
        apart = (
            mmd(own, base, self.metric.kernel)
            if self.metric.statistic == "mmd"
            else feature_distance(own, base)
        )
        return Change(0.0, apart, why, why, why, {})


def _signed(values: Floats) -> Estimate:
    """Return the estimate from values with all prompts (first) and with each block left out."""
    distribution = jack.jackknife(float(values[0]), values[1:])
    return Estimate(
        float(values[0]), distribution, interval(distribution, float(values[0]), jack.METHOD)
    )


def _two_sided(lost: Lost) -> Estimate:
    """Return the estimate of |θ|."""
    distribution, value = fold(lost.distribution), abs(lost.found.value)
    return Estimate(
        value,
        distribution,
        interval(distribution, value, jack.WIDENED if lost.allowance > 0 else jack.CORRECTED),
    )
