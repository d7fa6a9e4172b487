"""What is decided before any time is spent: settings, names, conflicts, order, estimate."""

from harness.planning.plan import make_plan

__all__ = ["make_plan"]
