"""DEIS, an exponential integrator with polynomial extrapolation (Zhang & Chen 2023)."""

from typing import ClassVar

from harness.axes.scheduler._solver import KarrasScheduler


class Deis(KarrasScheduler):
    summary: ClassVar[str] = "exponential integrator, second order multistep"
    scheduler_class: ClassVar = "DEISMultistepScheduler"
    scheduler_options: ClassVar = {"algorithm_type": "deis", "solver_type": "logrho"}
    examples: ClassVar = ("deis+karras",)
    from_pure_noise: ClassVar = False
    by_timestep: ClassVar = True
