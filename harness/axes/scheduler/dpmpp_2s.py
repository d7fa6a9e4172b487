"""DPM-Solver++(2S), a second-order singlestep solver (Lu et al. 2022)."""

from typing import ClassVar

from harness.axes.scheduler._solver import Scheduler


class Dpmpp2s(Scheduler):
    summary: ClassVar[str] = "second order singlestep"
    scheduler_class: ClassVar = "DPMSolverSinglestepScheduler"
    # Else an even number of steps ends in a second-order step to σ = 0, infinite in log-SNR.
    scheduler_options: ClassVar = {"algorithm_type": "dpmsolver++", "lower_order_final": True}
    from_pure_noise: ClassVar = False
