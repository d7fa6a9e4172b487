"""Heun's second-order method (Karras et al. 2022): two denoiser calls a step, one in the last."""

from typing import ClassVar

from harness.axes.scheduler._solver import WithKarras


class Heun(WithKarras):
    summary: ClassVar[str] = "second order, 2·steps − 1 denoiser calls"
    scheduler_class: ClassVar = "HeunDiscreteScheduler"
    from_pure_noise: ClassVar = False
    examples: ClassVar = ("heun+karras",)

    def calls(self, steps: int) -> int:
        return 2 * steps - 1
