"""DPM-Solver++(2M), a second-order multistep solver (Lu et al. 2022)."""

from typing import ClassVar

from harness.axes.scheduler._swap import Scheduler


class Dpmpp2m(Scheduler):
    summary: ClassVar[str] = "second order multistep"
    scheduler_class: ClassVar = "DPMSolverMultistepScheduler"
