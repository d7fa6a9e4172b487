"""Compare every cell with the baseline: score images and compute losses with their uncertainty."""

from harness.evaluation.evaluating import evaluate
from harness.evaluation.trajectory import changed_axes, keeps_trajectory

__all__ = ["changed_axes", "evaluate", "keeps_trajectory"]
