"""Euler's method on the probability-flow ODE (Karras et al. 2022)."""

from typing import ClassVar

from harness.axes.scheduler._solver import KarrasScheduler


class Euler(KarrasScheduler):
    summary: ClassVar[str] = "first order, deterministic, in sigma space"
    scheduler_class: ClassVar = "EulerDiscreteScheduler"
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    examples: ClassVar = ("euler+karras",)
