"""Compare every cell with the baseline: score images and compute losses with their uncertainty."""

from harness.evaluation.evaluating import evaluate
from harness.evaluation.trajectory import keeps_trajectory, list_changed_axes

__all__ = ["list_changed_axes", "evaluate", "keeps_trajectory"]
