"""Heun's second-order method on a rectified flow: two denoiser calls per step, one in the last."""

from typing import ClassVar

from harness.axes.scheduler._solver import FlowScheduler
from harness.core.axis import Context


class FlowHeun(FlowScheduler):
    summary: ClassVar[str] = "second order on a flow, 2·steps − 1 denoiser calls"
    scheduler_class: ClassVar = "FlowMatchHeunDiscreteScheduler"

    def calls(self, steps: int) -> int:
        return 2 * steps - 1

    def refuse(self, context: Context) -> str | None:
        if context.model.family == "flux":
            title = context.model.title
            return (
                f"the pipeline of the {title} passes sigmas, which {self.scheduler_class} rejects"
            )
        return super().refuse(context)
