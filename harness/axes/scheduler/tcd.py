"""Trajectory consistency sampling, with adjustable noise (Zheng et al. 2024)."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.scheduler._solver import ConsistencyScheduler
from harness.core.model import Arguments


class Tcd(ConsistencyScheduler):
    """`eta` is their γ: 0 adds no noise, 1 is LCM's multistep sampling; they use 0.3.

    It is always passed: diffusers' pipelines pass 0 by default, not TCDScheduler's default.
    """

    summary: ClassVar[str] = "trajectory consistency sampling with adjustable noise, for hyper-sd"
    scheduler_class: ClassVar = "TCDScheduler"
    examples: ClassVar = ("tcd+eta=1", "tcd+eta=0")

    eta: Annotated[float, Field(ge=0, le=1)] = 0.3

    def arguments(self) -> Arguments:
        return {"eta": self.eta}
