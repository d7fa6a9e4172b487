"""DDIM, the deterministic first-order solver (Song et al. 2021)."""

from typing import Annotated, Any, ClassVar

from pydantic import Field

from harness.axes.scheduler._solver import Scheduler, refuse_all_steps
from harness.core.axis import Context
from harness.core.model import Arguments


class Ddim(Scheduler):
    """`eta` adds noise: 0 is the ODE, 1 is DDPM. `trailing` starts at the last timestep."""

    summary: ClassVar[str] = "first order, deterministic (or with noise: eta)"
    scheduler_class: ClassVar = "DDIMScheduler"
    tags: ClassVar = frozenset({"scheduler", "first-order"})
    examples: ClassVar = ("ddim+eta=0.5", "ddim+trailing")

    eta: Annotated[float, Field(ge=0, le=1)] = 0.0
    trailing: bool = False

    def options(self) -> dict[str, Any]:
        # Clipping to ±1, the default, is for models of pixels.
        spacing = {"timestep_spacing": "trailing"} if self.trailing else {}
        return {"clip_sample": False, **spacing}

    def refuse(self, context: Context) -> str | None:
        tags, title = context.model.tags, context.model.title
        if not self.trailing and "steps-offset" in tags and (reason := refuse_all_steps(context)):
            return reason
        if self.eta == 1 and "zero-snr" in tags:  # √(1 − ᾱ − σ²) of equal numbers may be negative
            return (
                f"the {title} starts from pure noise, where eta=1 takes the root of a rounding "
                "error: use eta=0.99"
            )
        return super().refuse(context)

    def arguments(self) -> Arguments:
        return {"eta": self.eta} if self.eta else {}
