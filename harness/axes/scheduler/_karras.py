"""The option to space steps as Karras et al. 2022 do (equation 5, ρ = 7), evenly in σ^(1/7) instead of in time."""

from typing import Any

from harness.axes.scheduler._swap import Scheduler
from harness.core.axis import Context


class WithKarras(Scheduler):
    karras: bool = False

    def options(self) -> dict[str, Any]:
        return {**self.scheduler_options, **({"use_karras_sigmas": True} if self.karras else {})}

    def refuse(self, context: Context) -> str | None:
        if self.karras and "flow" in context.model.tags:
            return f"Karras sigmas are of diffusion models, the {context.model.title} is trained with flow matching"
        if self.karras and "zero-snr" in context.model.tags:
            return f"Karras sigmas need a largest σ, the {context.model.title} has none (zero terminal SNR)"
        return super().refuse(context)
