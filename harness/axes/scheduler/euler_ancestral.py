"""Euler with ancestral noise at every step (k-diffusion); more steps do not make it converge."""

from typing import Any, ClassVar

from harness.axes.scheduler._solver import Scheduler


class EulerAncestral(Scheduler):
    summary: ClassVar[str] = "first order with fresh noise at every step"
    scheduler_class: ClassVar = "EulerAncestralDiscreteScheduler"
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    examples: ClassVar = ("euler-ancestral+trailing",)

    trailing: bool = False

    def options(self) -> dict[str, Any]:
        return {"timestep_spacing": "trailing"} if self.trailing else {}
