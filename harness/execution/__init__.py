"""Run a plan: every cell in a process of its own, every ending recorded."""

from harness.execution.runner import Progress, SilentProgress, run_plan

__all__ = ["Progress", "SilentProgress", "run_plan"]
