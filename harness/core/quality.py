"""Scores with their definitions, and changes against the baseline with their uncertainty (QUALITY:
score, loss)."""

from typing import Literal, Self

from pydantic import model_validator

from harness.core.base import Frozen
from harness.core.errors import ResultsError
from harness.core.units import Absent

MetricKind = Literal["paired", "alignment", "correctness", "distribution", "prompt-wise"]
Question = Literal["content", "fidelity", "variety", "identity"]
"""What a metric answers: do images show what was asked, are they clean, are they varied, are they
the same ones?"""


BASELINE_AT_OTHER_SEEDS = "the baseline at other seeds"
"""How the reference of a distribution metric begins where it is no set of real images."""


class Definition(Frozen):
    """What exactly a number means: two scores with different definitions are never compared.

    `extractor` to `value_range` and `library` say what is read from an image, `formula` what is
    made of it.
    """

    metric: str
    kind: MetricKind
    extractor: str
    weights_sha256: str
    resize: str
    value_range: str
    reference: str
    library: str
    better: Literal["higher", "lower"]
    unit: str = ""
    formula: str = ""
    question: Question
    notes: tuple[str, ...] = ()
    """Notes for reports, such as too few images for a full-rank covariance."""

    @property
    def whole(self) -> str:
        """What 100 % of a calibrated loss is, in words that follow a percentage: `of correct
        images`."""
        if self.kind == "correctness":
            return "of correct images"
        if self.kind == "prompt-wise":
            return "of images that were not odd"
        if self.kind == "paired":
            return "of the distance between two seeds"
        if self.kind == "alignment":
            return "of its range above chance"
        if not self.reference.startswith(BASELINE_AT_OTHER_SEEDS):
            return "of the baseline's distance to the reference set"
        return "of the baseline's variety" if self.question == "variety" else "of its scale"

    def difference(self, other: "Definition") -> str:
        """Return in words how two definitions differ; an empty string if they are the same."""
        mine, theirs = self.model_dump(exclude={"notes"}), other.model_dump(exclude={"notes"})
        return "; ".join(
            f"{key}: {mine[key]!r} ≠ {theirs[key]!r}" for key in mine if mine[key] != theirs[key]
        )


class Interval(Frozen):
    """An estimate with a two-sided confidence interval at `level`, and the method that made it."""

    estimate: float
    low: float
    high: float
    level: float = 0.95
    method: str


class Uncertainty(Frozen):
    """A confidence distribution: `quantiles[i]` is the upper bound of the loss at one-sided level
    `levels[i]`.

    Any bound at any level, and the p-value at any margin, can be read from it without the images.
    """

    levels: tuple[float, ...]
    quantiles: tuple[float, ...]


class Score(Frozen):
    """A metric of one cell: never a bare number. `n` counts images, `prompts` the independent
    units."""

    cell_id: str
    definition: Definition
    value: Interval
    uncertainty: Uncertainty
    n: int
    prompts: int


class Delta(Frozen):
    """One cell's change of one metric against the baseline.

    `literal` is the relative change of the raw score (sign: positive is worse), `loss` the
    calibrated loss (0: a rerun of the baseline, 1: destroyed). Either may be absent with a reason.
    """

    cell_id: str
    metric: str
    definition: Definition
    baseline: float
    candidate: float
    literal: Interval | Absent
    literal_uncertainty: Uncertainty | Absent
    loss: Interval | Absent
    loss_uncertainty: Uncertainty | Absent
    calibration: dict[str, float]
    """The anchors of the loss: chance, floor, other seed … in the metric's own units."""
    resolved_from: int | None = None
    """Prompts from which on the loss's bounds need no allowance for few images; None where they
    have none."""
    n: int
    prompts: int
    gates: bool
    why_not: str = ""
    """Why this metric does not gate this cell, such as: the cell changes the denoising trajectory.
    """
    if_named: bool = False
    """It does not gate by default, but may judge this cell where a rule names it: a pixel metric.
    """

    def figures(self, quantity: str) -> tuple[Interval, Uncertainty] | Absent:
        """Return what a rule on `loss` or `change` holds against its limits, with its confidence
        distribution."""
        calibrated = quantity == "loss"
        shown = self.loss if calibrated else self.literal
        spread = self.loss_uncertainty if calibrated else self.literal_uncertainty
        if isinstance(shown, Absent):
            return shown
        return spread if isinstance(spread, Absent) else (shown, spread)


class WorstImage(Frozen):
    """One of the images that moved most from the baseline's, by the metric that ranked them."""

    prompt_id: str
    seed: int
    metric: str
    value: float


class Tail(Frozen):
    """What a mean can hide: the worst decile and the broken images, with a Clopper–Pearson bound on
    their share.

    `worst` are the ten worst images by one metric of each kind that has values of single images,
    worst first.
    """

    cell_id: str
    broken: int
    n: int
    broken_share_high: float
    worst_decile: dict[str, float]
    worst: tuple[WorstImage, ...]


class Rung(Frozen):
    """What one metric made of the baseline's own images, damaged by a known dose.

    `damage` is a family such as `blur`, `level` 0 (below what most people notice) to 5, `dose` the
    amount in words.
    """

    damage: str
    level: int
    dose: str
    metric: str
    images: int
    prompts: int
    loss: Interval | Absent
    loss_uncertainty: Uncertainty | Absent
    score: Interval | Absent
    score_uncertainty: Uncertainty | Absent

    def figures(self, quantity: str) -> tuple[Interval, Uncertainty] | Absent:
        """Return what a rule on `loss` or `score` holds against its limits, with its confidence
        distribution."""
        if quantity not in ("loss", "score"):
            return Absent(absent=f"the ladder has no {quantity}")
        shown, spread = (
            (self.loss, self.loss_uncertainty)
            if quantity == "loss"
            else (self.score, self.score_uncertainty)
        )
        if isinstance(shown, Absent):
            return shown
        return spread if isinstance(spread, Absent) else (shown, spread)


class Evaluation(Frozen):
    """All that evaluation found: stored as deltas.json."""

    run_id: str
    scores: tuple[Score, ...]
    deltas: tuple[Delta, ...]
    ladder: tuple[Rung, ...]
    """The baseline's own images, damaged step by step: what the metrics notice, and what they
    would let pass."""
    tails: tuple[Tail, ...]
    blind: dict[str, str]
    """Metric → why its pass does not count: no damage moved it at this number of images."""
    not_monotone: dict[str, tuple[str, ...]] = {}
    """Metric → families of damage of which a larger dose moved it less: there it does not count as
    seeing."""
    missing: dict[str, str]
    """Metric → why it could not be computed at all, such as: weights not found."""
    seconds: float
    """Wall time of the evaluation, for the report's ledger."""

    @model_validator(mode="after")
    def _hold_one_definition_per_metric(self) -> Self:
        """Raise ResultsError where scores or deltas of one metric have different definitions:
        nothing may mix them."""
        first: dict[str, Definition] = {}
        records: tuple[Score | Delta, ...] = (*self.scores, *self.deltas)
        for record in records:
            metric = record.definition.metric
            if apart := first.setdefault(metric, record.definition).difference(record.definition):
                what = f"the definitions of {metric} in {record.cell_id} and before differ: {apart}"
                raise ResultsError(
                    what, self.run_id, f"Score all cells alike: harness evaluate {self.run_id}"
                )
        return self
