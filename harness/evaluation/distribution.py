"""Distribution metrics (FID): the change of the distance to a reference set, two-sided.

With a reference set of real images, loss = |D_c − D_b| / D_b.

Without one, the reference b′ is the baseline at other seeds. D_b = D(b, b′) is then no property of the baseline: both
sets come from one distribution, so it is pure small-sample bias and shrinks as 1 / N. The same candidate would
lose 150 % at N = 256 and 280 % at N = 500 (simulated). So the scale is anchored at "destroyed" as for the other
metrics: loss = |D_c − D_b| / (S − D_b), where S is the total variance of b′'s features, the distance of b′ to
itself collapsed onto one average picture. 0 % is a rerun of the baseline at any seed, 100 % all variety gone.

Both are corrected for small-sample bias by the jackknife (B·θ − (B − 1)·mean of the leave-outs), the idea of FID∞
(Chong & Forsyth 2020): a candidate with less variety has less bias, and at N = 256 the uncorrected change would pass
20 % of candidates whose true loss is exactly the margin (simulated; corrected: at most 5 %). Candidate and baseline
share prompts and noise, so most of what a set of images owes to chance cancels in the change.
"""

import numpy as np

from harness.core.units import Absent
from harness.evaluation.change import LEAST_PROMPTS, Change, Scene
from harness.evaluation.lineup import Variant
from harness.evaluation.looking import Reader
from harness.stats.bootstrap import Estimate, Floats
from harness.stats.confidence import fold, interval
from harness.stats.frechet import feature_distance
from harness.stats.frechet_change import Reference
from harness.stats.jackknife import METHOD, assign_blocks, corrected, jackknife, jackknife_of_square

CORRECTED = f"{METHOD}, bias-corrected"
NEITHER = Absent(absent="no reference set in the matrix, and the baseline's other-seed run did not complete")


class DistributionComparer:
    """Compares sets of features by their Fréchet distance to a reference; `real` are features of a reference set."""

    def __init__(self, scene: Scene, reader: Reader, real: Floats | None = None) -> None:
        self.scene, self.reader, self.real = scene, reader, real
        self._references: dict[int, tuple[Reference, Floats] | None] = {}

    def image_values(self, variant: Variant) -> list[float]:
        return []

    def _features(self, variant: Variant, prompts: int) -> Floats:
        rows = self.scene.sight.rows(self.reader, variant)[: prompts * self.scene.lineup.seeds]
        return np.asarray(rows, dtype=np.float64)

    def _reference(self, prompts: int) -> tuple[Reference, Floats] | None:
        """Return the reference over the first prompts, with the baseline's distances to it; kept for all cells."""
        if prompts not in self._references:
            self._references[prompts] = self._make_reference(prompts)
        return self._references[prompts]

    def _make_reference(self, prompts: int) -> tuple[Reference, Floats] | None:
        block = np.repeat(assign_blocks(prompts), self.scene.lineup.seeds)
        if self.real is not None:
            reference = Reference(self.real, block, fixed=True)
        elif self.scene.lineup.other_seed is not None:
            reference = Reference(self._features(self.scene.lineup.other_seed, prompts), block)
        else:
            return None
        return reference, reference.distances(self._features(self.scene.lineup.baseline, prompts))

    def change(self, variant: Variant, prompts: int) -> Change:
        if prompts < LEAST_PROMPTS:
            return self._bare(variant, prompts, Absent(absent=f"fewer than {LEAST_PROMPTS} prompts"))
        found = self._reference(prompts)
        if found is None:
            return self._bare(variant, prompts, NEITHER)
        reference, before = found
        same = variant is self.scene.lineup.baseline
        after = before if same else reference.distances(self._features(variant, prompts))
        scale = before if self.real is not None else reference.spreads - before
        anchor = {"baseline": float(before[0])} if self.real is not None else {"collapsed": float(reference.spreads[0])}
        change = Change(float(before[0]), float(after[0]), _signed(after), *_no_scale(), anchor)
        if (before > 0).all():
            change = change._replace(literal=_signed((after - before) / before))
        if (scale > 0).all():
            change = change._replace(loss=_two_sided((after - before) / scale))
        return change

    def _bare(self, variant: Variant, prompts: int, why: Absent) -> Change:
        """Without a reference there is only the distance to the baseline itself."""
        apart = feature_distance(self._features(variant, prompts), self._features(self.scene.lineup.baseline, prompts))
        return Change(0.0, apart, why, why, why, {})


def _no_scale() -> tuple[Absent, Absent]:
    return (Absent(absent="the baseline's distance to the reference is 0"),) * 2


def _signed(values: Floats) -> Estimate:
    """Return the estimate of values with all prompts (first) and with each block left out."""
    distribution = jackknife(float(values[0]), values[1:])
    return Estimate(float(values[0]), distribution, interval(distribution, float(values[0]), METHOD))


def _two_sided(values: Floats) -> Estimate:
    """Return the estimate of |θ|, bias-corrected."""
    theta = corrected(float(values[0]), values[1:])
    distribution = fold(jackknife_of_square(theta, values[1:]))
    return Estimate(abs(theta), distribution, interval(distribution, abs(theta), CORRECTED))
