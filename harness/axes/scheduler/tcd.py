"""Trajectory consistency sampling (Zheng et al. 2024): consistency sampling with a dose of noise to choose."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.axes.scheduler._solver import Consistency
from harness.core.model import Arguments


class Tcd(Consistency):
    """`eta` is their γ: 0 adds no noise, 1 is LCM's multistep sampling; 0.3 is theirs.

    diffusers' pipelines pass an eta of 0 unless told otherwise, so the default of its TCDScheduler is never used.
    """

    summary: ClassVar[str] = "trajectory consistency sampling with a dose of noise, for hyper-sd"
    scheduler_class: ClassVar = "TCDScheduler"
    examples: ClassVar = ("tcd+eta=1", "tcd+eta=0")

    eta: Annotated[float, Field(ge=0, le=1)] = 0.3

    def arguments(self) -> Arguments:
        return {"eta": self.eta}
