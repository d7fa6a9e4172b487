"""Run a plan: each cell in a separate process, with every outcome recorded."""

from harness.execution.runner import Progress, SilentProgress, run_plan

__all__ = ["Progress", "SilentProgress", "run_plan"]
