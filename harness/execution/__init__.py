"""Run a plan: every cell in a process of its own, every ending recorded."""

from harness.execution.runner import Progress, run_plan

__all__ = ["Progress", "run_plan"]
