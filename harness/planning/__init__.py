"""What is decided before any time is spent: settings, names, conflicts, order, estimate."""

from harness.planning.plan import Surroundings, make_plan

__all__ = ["Surroundings", "make_plan"]
