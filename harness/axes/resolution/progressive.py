"""Progressive resolution: compose a small picture, then enlarge and redraw it in stages (SDEdit, Meng et al. 2021).

Cascades go back to Ho et al. 2022; with one model for all stages they are known as "hires fix".
"""

from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from harness.axes.resolution._cascade import Cascade, Stage, caution_size, read_numbers, read_sizes, refuse_size
from harness.core.axis import AxisValue, Context, Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage
from harness.core.outcome import Caution

Words = Annotated[str, BeforeValidator(lambda given: "-".join(str(given).replace(",", " ").replace("-", " ").split()))]
"""Several values in one word: `256-512-1024`; commas and spaces will do as well."""


class Progressive(AxisValue):
    """`stages` are sizes that grow, the last is the picture's; the cell's steps are of the first stage.

    For the stages after it: `strengths` (0–1, how much noise is put on the enlarged picture) and `steps` (of the
    whole way from noise: about strength × steps are made). One number stands for all of them.
    """

    summary: ClassVar[str] = "small first, then enlarged and redrawn in stages, timed apart"
    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"cascade"})
    conflicts: ClassVar = frozenset({"no-image-to-image", "no-pipeline"})
    examples: ClassVar = ("progressive+stages=16-32", "progressive+stages=16-32x32-64+strengths=0.75-0.5+steps=4-6")

    stages: Words = ""
    strengths: Words = "0.5"
    steps: Words = ""

    def plan(self, steps: int) -> tuple[Stage, ...]:
        """Return the stages of a call of so many steps; ValueError for words that make no sense."""
        sizes = read_sizes(self.stages)
        strengths = read_numbers("strengths", self.strengths, len(sizes) - 1)
        later = read_numbers("steps", self.steps or str(steps), len(sizes) - 1)
        redrawn = [Stage(*size, int(n), s) for size, n, s in zip(sizes[1:], later, strengths, strict=True)]
        return (Stage(*sizes[0], steps, 1.0), *redrawn)

    def refuse(self, context: Context) -> str | None:
        try:
            stages = self.plan(int(context.values["steps"].call_options()["steps"]))
        except ValueError as error:
            return str(error)
        if wrong := next((stage for stage in stages if refuse_size(stage.size, context.model)), None):
            return f"stage {wrong}: {refuse_size(wrong.size, context.model)}"
        if idle := next((stage for stage in stages if stage.calls < 1), None):
            return f"stage {idle}: {idle.strength:g} × {idle.steps} steps are not one denoiser call: raise either"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        return caution_size(read_sizes(self.stages)[0], context.model)

    def call_options(self) -> dict[str, int]:
        try:
            width, height = read_sizes(self.stages)[-1]
        except ValueError:  # said in the plan, by refuse
            return {}
        return {"width": width, "height": height}

    def workload(self, steps: int) -> float:
        stages = self.plan(steps)
        final = stages[-1].width * stages[-1].height
        return sum(stage.calls * stage.width * stage.height for stage in stages) / (steps * final)

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        effect = Cascade(self.plan)
        model.draw = effect.draw
        return effect
