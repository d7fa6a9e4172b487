"""The records of a run, joined once: outcomes, scores, losses, verdicts, traces, baseline."""

from harness.results.cell import CellResult, Standing
from harness.results.run import Run

__all__ = ["CellResult", "Run", "Standing"]
