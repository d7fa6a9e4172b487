"""DDIM, the deterministic first-order solver (Song et al. 2021)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.scheduler._solver import Scheduler, refuse_all_steps
from harness.core.axis import Context
from harness.core.model import Arguments


class Ddim(Scheduler):
    """`eta` adds noise at each step: 0 is the ODE, 1 as much as DDPM. `trailing` begins at the last timestep."""

    summary: ClassVar[str] = "first order, deterministic (or with noise: eta)"
    scheduler_class: ClassVar = "DDIMScheduler"
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    examples: ClassVar = ("ddim+eta=0.5", "ddim+trailing")

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    trailing: bool = False

    def options(self) -> dict[str, Any]:
        # Latents are not bounded by ±1; clipping, DDIMScheduler's default, is for models of pixels.
        return {"clip_sample": False} | ({"timestep_spacing": "trailing"} if self.trailing else {})

    def refuse(self, context: Context) -> str | None:
        if not self.trailing and "steps-offset" in context.model.tags and (reason := refuse_all_steps(context)):
            return reason
        if self.eta == 1 and "zero-snr" in context.model.tags:  # √(1 − ᾱ − σ²) of two equal numbers, rounded below 0
            return f"eta=1 from pure noise, as the {context.model.title} starts, is a root of rounding errors: use 0.99"
        return super().refuse(context)

    def arguments(self) -> Arguments:
        return {"eta": self.eta} if self.eta else {}
