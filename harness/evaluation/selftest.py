"""Checks before a metric scores: its self-test, and its statistic on features of known distance."""

import math
from collections.abc import Callable, Sequence

import numpy as np

from harness.core.errors import MachineError
from harness.metrics import Metric, Scorer, Weights, self_test
from harness.stats.frechet import feature_distance
from harness.stats.mmd import GAUSSIAN_SCALE, SIGMA, mmd

_RELATIVE = 1e-9
Point = tuple[float, ...]
FIRST: tuple[Point, ...] = tuple(
    (math.sin(i), math.cos(2 * i), math.sin(3 * i + 1) * 2) for i in range(12)
)
SECOND: tuple[Point, ...] = tuple((2 * a + 1, b - 1, c + 0.5) for a, b, c in FIRST[:9])


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
