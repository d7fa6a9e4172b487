"""Euler's method on a rectified flow (Esser et al. 2024), for models trained with flow matching."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.scheduler._solver import FlowScheduler


class FlowEuler(FlowScheduler):
    """`shift` moves steps towards noise (their equation 23); 0: the model's default."""

    summary: ClassVar[str] = "first order on a flow (SD3, FLUX, Sana); shift"
    scheduler_class: ClassVar = "FlowMatchEulerDiscreteScheduler"
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    examples: ClassVar = ("flow-euler+shift=1",)

    shift: Annotated[float, Field(ge=0, le=100)] = 0.0

    def options(self) -> dict[str, Any]:
        return {"shift": self.shift, "use_dynamic_shifting": False} if self.shift else {}
