"""DPM-Solver++(2M), a second-order multistep solver (Lu et al. 2022)."""

from typing import Any, ClassVar

from harness.axes.scheduler._solver import MultistepScheduler
from harness.core.axis import Context


class Dpmpp2m(MultistepScheduler):
    """`sde` is the stochastic form, with fresh noise at every step."""

    summary: ClassVar[str] = "second order multistep; karras, sde"
    scheduler_class: ClassVar = "DPMSolverMultistepScheduler"
    examples: ClassVar = ("dpmpp-2m+karras", "dpmpp-2m+sde", "dpmpp-2m+karras+sde")

    sde: bool = False

    def refuse(self, context: Context) -> str | None:
        if self.sde and context.model.family in ("sd3", "flux"):
            title = context.model.title
            return f"the pipeline of the {title} passes no generator: sde would not be repeatable"
        return super().refuse(context)

    def options(self) -> dict[str, Any]:
        return {
            **super().options(),
            "algorithm_type": "sde-dpmsolver++" if self.sde else "dpmsolver++",
        }
