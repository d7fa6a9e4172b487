"""A number of denoising steps."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import CallCounter, Effect
from harness.core.model import TextToImage
from harness.core.outcome import Caution, Shown
from harness.core.recipe import RecipeContext, RecipeLines
from harness.core.units import plural

FEW = 2
"""With so few steps no solver makes an image from weights without few-step distillation."""


class Count(AxisValue):
    """The scheduler's steps; the denoiser's calls are counted at run time."""

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
        few_step_model = {"no-guidance", "no-torch"} & context.model.tags
        if self.count > FEW or context.has_tag("distilled") or few_step_model:
            return ()
        message = f"{plural(self.count, 'step')} without distilled weights give blur or noise"
        advice = "Add a distillation such as lcm-lora, or take at least 4 steps."
        return (Caution(kind="few-steps", message=message, advice=advice),)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        return DenoiserCalls(self.count)

    def recipe(self, context: RecipeContext) -> RecipeLines:
        return RecipeLines(call={"num_inference_steps": str(self.count)})


class DenoiserCalls(CallCounter):
    """Counts denoiser calls: some solvers make more than their steps, cascades and caches fewer."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def report(self, model: TextToImage, calls: int) -> Shown:
        made = self.counts.get("denoiser", 0) / calls
        other = "" if made == self.steps else f", not {self.steps}"
        figures: dict[str, float | int | str] = {"denoiser_calls": made, "steps": self.steps}
        return Shown(summary=f"{made:g} denoiser calls{other}", figures=figures)
