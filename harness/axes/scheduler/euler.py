"""Euler's method on the probability-flow ODE (Karras et al. 2022)."""

from typing import ClassVar

from harness.axes.scheduler._swap import Scheduler


class Euler(Scheduler):
    summary: ClassVar[str] = "first order, deterministic, in sigma space"
    scheduler_class: ClassVar = "EulerDiscreteScheduler"
