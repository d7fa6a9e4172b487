"""Euler with ancestral noise at every step (k-diffusion); more steps do not make it converge."""

from typing import Any, ClassVar

from harness.axes.scheduler._ancestral import CLASS, refuse_broken
from harness.axes.scheduler._solver import Scheduler
from harness.core.axis import Context


class EulerAncestral(Scheduler):
    summary: ClassVar[str] = "first order with fresh noise at every step"
    scheduler_class: ClassVar = CLASS
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    examples: ClassVar = ("euler-ancestral+trailing",)

    trailing: bool = False

    def options(self) -> dict[str, Any]:
        return {"timestep_spacing": "trailing"} if self.trailing else {}

    def refuse(self, context: Context) -> str | None:
        return super().refuse(context) or refuse_broken(context, self.trailing)
