"""Heun's second-order method on a rectified flow: two denoiser calls a step, one in the last."""

from typing import ClassVar

from harness.axes.scheduler._solver import Flow
from harness.core.axis import Context


class FlowHeun(Flow):
    summary: ClassVar[str] = "second order on a flow, 2·steps − 1 denoiser calls"
    scheduler_class: ClassVar = "FlowMatchHeunDiscreteScheduler"

    def calls(self, steps: int) -> int:
        return 2 * steps - 1

    def refuse(self, context: Context) -> str | None:
        if context.model.family == "flux":
            return f"the pipeline of the {context.model.title} brings its own sigmas, {self.scheduler_class} takes none"
        return super().refuse(context)
