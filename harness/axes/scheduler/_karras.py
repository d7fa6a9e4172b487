"""The option to space steps as Karras et al. 2022 do (equation 5, ρ = 7), evenly in σ^(1/7) instead of in time."""

from typing import Any, ClassVar

from harness.axes.scheduler._swap import TRAINED, Scheduler, count_steps
from harness.core.axis import Context

COSINE_STEPS = 3
"""Steps from whose next on Karras sigmas of a cosine schedule round to the last timestep twice."""
KARRAS_STEPS = 900
"""The same of the usual schedules, whose largest σ is 10 to 200."""
FLOW_STEPS = 300
"""The same of a flow with the usual shift of 3."""


class WithKarras(Scheduler):
    karras: bool = False

    by_timestep: ClassVar[bool] = False
    """Whether it looks up where it begins by the timestep: with two of them at the beginning it loses a step."""

    def options(self) -> dict[str, Any]:
        return {**self.scheduler_options, **({"use_karras_sigmas": True} if self.karras else {})}

    def refuse(self, context: Context) -> str | None:
        if self.karras and "flow" in context.model.tags:
            return f"Karras sigmas are of diffusion models, the {context.model.title} is trained with flow matching"
        if self.karras and "zero-snr" in context.model.tags:
            return f"Karras sigmas need a largest σ, the {context.model.title} has none (zero terminal SNR)"
        return super().refuse(context) or self._refuse_steps(context)

    def _refuse_steps(self, context: Context) -> str | None:
        """Return why timesteps, which are whole numbers, are too few for so many steps."""
        steps, model = count_steps(context), context.model
        if not self.by_timestep:
            return None
        most = TRAINED - 2  # with more, two steps have the same σ
        if self.karras:
            most = COSINE_STEPS if "cosine-noise" in model.tags else KARRAS_STEPS
        elif "flow" in model.tags:
            most = FLOW_STEPS
        if steps <= most:
            return None
        sigmas, advice = ("Karras sigmas", ", or leave karras out") if self.karras else ("sigmas", "")
        why = f"at {steps} steps the first {sigmas} of the {model.title} round to one timestep"
        return f"{self.scheduler_class} needs distinct timesteps, {why}: take at most {most}{advice}"
