"""Euler from the last timestep, as few-step distilled models need it (Lin et al. 2023)."""

from typing import ClassVar

from harness.axes.scheduler._solver import Scheduler


class EulerTrailing(Scheduler):
    summary: ClassVar[str] = "Euler from the last timestep, for sdxl-lightning"
    scheduler_class: ClassVar = "EulerDiscreteScheduler"
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    scheduler_options: ClassVar = {"timestep_spacing": "trailing"}
