"""Prepare the metrics of a run: weights, definition, self-test; and the comparer of each kind."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from harness.core.errors import MachineError
from harness.core.matrix import Quality
from harness.core.plan import Plan
from harness.evaluation.alignment import AlignmentComparer, CorrectnessComparer
from harness.evaluation.change import Comparer, ComparisonContext
from harness.evaluation.distribution import DistributionComparer
from harness.evaluation.feature_store import Reader
from harness.evaluation.image_sets import ImageSets
from harness.evaluation.paired import PairedComparer, PromptWiseComparer
from harness.evaluation.reference import OTHER_SEEDS, ReferenceSet, explain_unreadable
from harness.metrics import Metric, Scorer, Weights, WeightsMissing, get_metric, self_test
from harness.stats.frechet import feature_distance
from harness.stats.mmd import GAUSSIAN_SCALE, SIGMA, mmd

_RELATIVE = 1e-9
Point = tuple[float, ...]
FIRST: tuple[Point, ...] = tuple(
    (math.sin(i), math.cos(2 * i), math.sin(3 * i + 1) * 2) for i in range(12)
)
SECOND: tuple[Point, ...] = tuple((2 * a + 1, b - 1, c + 0.5) for a, b, c in FIRST[:9])


class PreparedMetric(NamedTuple):
    """A metric whose weights and reference set are available."""

    reader: Reader
    metric: Metric


def prepare_metric(
    metric: Metric, quality: Quality, reference: ReferenceSet | None, notes: tuple[str, ...]
) -> PreparedMetric:
    """Return a metric ready to read the images of a run, with `notes` on its scores there.

    Raises MachineError if its weights are missing, or if it cannot be scored against the reference
    set.
    """
    weights = Weights.of(quality.weights)
    definition = metric.define(weights)
    definition = definition.model_copy(update={"notes": (*definition.notes, *notes)})
    if definition.kind == "distribution":
        used = None if metric.needs_baseline else reference
        if why := explain_unreadable(used, metric.statistic, metric.dimensions):
            raise MachineError(
                why, metric.name, "Name a folder of images in quality.reference, or another metric."
            )
        against = used.id if used else OTHER_SEEDS
        definition = definition.model_copy(update={"reference": against})
    return PreparedMetric(Reader(definition, lambda: load_tested(metric, weights)), metric)


def make_comparer(
    context: ComparisonContext, ready: PreparedMetric, reference: ReferenceSet | None
) -> Comparer:
    """Return the comparer of a metric, by its kind."""
    reader, metric = ready

    def distribution() -> Comparer:
        used = None if metric.needs_baseline else reference
        real = used.read(reader, context.feature_store.cache) if used else None
        return DistributionComparer(context, reader, metric, real)

    makers: dict[str, Callable[[], Comparer]] = {
        "alignment": lambda: AlignmentComparer(context, reader, metric.to_score),
        "paired": lambda: PairedComparer(context, reader, metric.to_score),
        "correctness": lambda: CorrectnessComparer(context, reader),
        "distribution": distribution,
        "prompt-wise": lambda: PromptWiseComparer(context, reader, metric.floor),
    }
    return makers[reader.definition.kind]()


def prepare_metrics(
    plan: Plan, image_sets: ImageSets, size: tuple[int, int], reference: ReferenceSet | None
) -> tuple[list[PreparedMetric], dict[str, str]]:
    """Return the metrics that can score a run, and for the others the reason why not."""
    ready: list[PreparedMetric] = []
    missing: dict[str, str] = {}
    for name in plan.matrix.quality.metrics:
        metric = get_metric(name)
        if min(size) < metric.least_pixels:
            missing[metric.name] = (
                f"images of {size[0]}×{size[1]} are too small: it needs {metric.least_pixels}"
            )
            continue
        if why := _refused(metric, image_sets.texts):
            missing[metric.name] = why
            continue
        try:
            ready.append(
                prepare_metric(metric, plan.matrix.quality, reference, _notes(metric, image_sets))
            )
        except WeightsMissing as error:
            missing[metric.name] = f"{error.short}. See: harness weights {metric.name}"
        except MachineError as error:
            missing[metric.name] = f"{error.what}. {error.fix}"
    return ready, missing


def _notes(metric: Metric, image_sets: ImageSets) -> tuple[str, ...]:
    """Return notes on how far a metric's scores of these images and prompts can be trusted."""
    cut = metric.find_cut(image_sets.texts).describe(
        {name: (text,) for name, text in image_sets.prompts_by_id.items()}
    )
    return (*metric.cautions(len(image_sets.baseline.images)), *([cut] if cut else []))


def _refused(metric: Metric, texts: tuple[str, ...]) -> str:
    """Return why a metric cannot check the prompts of a run, or an empty string."""
    refused = [(text, why) for text in texts if (why := metric.refusal(text))]
    if not refused:
        return ""
    return f"it cannot check {len(refused)} of {len(texts)} prompts, the first: {refused[0][1]}"


def load_tested(metric: Metric, weights: Weights) -> Scorer:
    """Return the scorer of a metric after its self-test.

    Raises MachineError if weights are missing, or if an installed library changed the number.
    """
    scorer = metric.load(weights)
    self_test(metric, scorer)
    if metric.kind == "distribution":
        check_statistic(metric)
    return scorer


def check_statistic(metric: Metric) -> None:
    """Raise MachineError if a fixed distance differs from plain arithmetic."""
    expected, found = _frechet() if metric.statistic == "frechet" else _mmd(metric)
    if not math.isclose(expected, found, rel_tol=_RELATIVE):
        what = (
            f"the {metric.statistic} distance of fixed features is {found!r}, expected {expected!r}"
        )
        fix = (
            f"NumPy {np.__version__} or the linear algebra it uses is broken here: install the "
            "tested versions."
        )
        raise MachineError(what, f"self-test of {metric.name}", fix)


def _frechet() -> tuple[float, float]:
    """Return the closed form and the computed distance of a set and itself, moved and doubled.

    |Δμ|² + tr Σ(1 − 2)², by the formula for Σ₂ = 4 Σ₁.
    """
    move = (1.0, -2.0, 0.5)
    wide = [
        tuple(2 * value + step for value, step in zip(point, move, strict=True)) for point in FIRST
    ]
    means = [math.fsum(column) / len(FIRST) for column in zip(*FIRST, strict=True)]
    squares = [math.fsum((value - mean) ** 2 for value in column)
               for column, mean in zip(zip(*FIRST, strict=True), means, strict=True)]  # fmt: skip
    spread = math.fsum(squares) / (len(FIRST) - 1)
    moved = math.fsum((mean + step) ** 2 for mean, step in zip(means, move, strict=True))
    return moved + spread, feature_distance(FIRST, wide)


def _mmd(metric: Metric) -> tuple[float, float]:
    """Return the sum over all pairs, one by one, and the computed distance."""
    kernel = {"cubic": _cubic, "gaussian": _gaussian}[metric.kernel]
    expected = (
        _pairs(FIRST, FIRST, kernel)
        + _pairs(SECOND, SECOND, kernel)
        - 2 * _pairs(FIRST, SECOND, kernel)
    )
    return expected, mmd(FIRST, SECOND, metric.kernel)


def _pairs(
    first: Sequence[Point], second: Sequence[Point], kernel: Callable[[Point, Point], float]
) -> float:
    """Return the mean kernel over pairs; within one set, over different points."""
    values = [
        kernel(x, y)
        for i, x in enumerate(first)
        for j, y in enumerate(second)
        if first is not second or i != j
    ]
    return math.fsum(values) / len(values)


def _cubic(x: Point, y: Point) -> float:
    return (math.fsum(a * b for a, b in zip(x, y, strict=True)) / len(x) + 1.0) ** 3


def _gaussian(x: Point, y: Point) -> float:
    apart = math.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True))
    return GAUSSIAN_SCALE * math.exp(-apart / (2 * SIGMA**2))
