"""A number of denoising steps."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import CallCounter, Effect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown

FEW = 2
"""Steps with which no solver reaches a picture from weights that were trained for a thousand."""


class Count(AxisValue):
    """Ask the scheduler for this many steps; the denoiser calls really made are counted at run time."""

    summary: ClassVar[str] = "any whole number from 1"
    affects: ClassVar = "call"
    trajectory: ClassVar = "changed"

    count: Annotated[int, Field(ge=1, le=1000)] = 50

    @classmethod
    def parse(cls, name: str) -> "Count":
        try:
            return cls(count=int(name))
        except ValueError as error:
            raise ValueError("steps are whole numbers from 1 to 1000") from error

    def __str__(self) -> str:
        return str(self.count)

    def label(self, name: str) -> str:
        return f"{self.count}-steps"

    def call_options(self) -> dict[str, int]:
        return {"steps": self.count}

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        distilled = any("distilled" in value.tags for value in context.values.values())
        if self.count > FEW or distilled or {"no-guidance", "no-torch"} & context.model.tags:
            return ()
        message = f"{self.count} step{'s' if self.count > 1 else ''} without distilled weights: expect blur or noise"
        advice = "Add a distillation such as lcm-lora, or take 4 steps and more."
        return (Caution(kind="few-steps", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        return Taken(self.count)


class Taken(CallCounter):
    """Counts the calls of the denoiser from outside."""

    def __init__(self, asked: int) -> None:
        super().__init__()
        self.asked = asked

    def report(self, model: TextToImage, calls: int) -> Shown:
        made = self.counts.get("denoiser", 0) / calls
        same = "" if made == self.asked else f", not {self.asked}"
        return Shown(summary=f"{made:g} denoiser calls{same}", figures={"denoiser_calls": made, "steps": self.asked})
