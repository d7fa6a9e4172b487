"""Heun's second-order method (Karras et al. 2022): two denoiser calls per step, one in the last."""

from typing import ClassVar

from harness.axes.scheduler._solver import KarrasScheduler


class Heun(KarrasScheduler):
    summary: ClassVar[str] = "second order, 2·steps − 1 denoiser calls"
    scheduler_class: ClassVar = "HeunDiscreteScheduler"
    from_pure_noise: ClassVar = False
    examples: ClassVar = ("heun+karras",)

    def calls(self, steps: int) -> int:
        return 2 * steps - 1
