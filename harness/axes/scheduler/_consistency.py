"""What LCM and TCD sampling share: they jump to the picture and back, which only a distilled denoiser can."""

from typing import ClassVar

from harness.axes.scheduler._swap import Scheduler, count_steps
from harness.core.axis import Context
from harness.core.outcome import Caution

MOST = 50
"""Timesteps that the student was trained on (`original_inference_steps` of diffusers' schedulers)."""


class Consistency(Scheduler):
    tags: ClassVar = frozenset({"scheduler", "consistency"})

    def refuse(self, context: Context) -> str | None:
        steps = count_steps(context)
        if steps > MOST:
            return f"{self.scheduler_class} has {MOST} timesteps to choose from, the cell asks for {steps} steps"
        return super().refuse(context)

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if any("distilled" in value.tags for value in context.values.values()):
            return ()
        message = f"{self.scheduler_class} jumps to the picture in every step, which only distilled weights can do"
        advice = "Combine it with a distillation such as lcm-lora, unless the model itself is a consistency model."
        return (Caution(kind="undistilled", message=message, advice=advice),)
