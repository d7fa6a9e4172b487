"""A small image, enlarged and redrawn in stages (SDEdit, Meng et al. 2021).

Cascades are from Ho et al. 2022; with one model for all stages they are known as "hires fix".
"""

from typing import ClassVar

from harness.axes.resolution._cascade import (
    Cascade,
    Stage,
    read_numbers,
    read_sizes,
    refuse_size,
    warn_of_size,
)
from harness.core.axis import AxisValue, Context, Setup, Words
from harness.core.effect import Effect
from harness.core.model import TextToImage
from harness.core.outcome import Caution
from harness.core.recipe import RecipeContext, RecipeLines


class Progressive(AxisValue):
    """`stages` are growing sizes, the last is the image's; the cell's steps are the first stage's.

    Later stages have `strengths` (0–1: how much noise is added to the enlarged image) and `steps`
    (from pure noise: about strength × steps are made). A single number is used for all of them.
    """

    summary: ClassVar[str] = "small first, then enlarged and redrawn in stages, timed separately"
    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"cascade"})
    conflicts: ClassVar = frozenset({"no-image-to-image", "no-pipeline"})
    examples: ClassVar = (
        "progressive+stages=16-32",
        "progressive+stages=16-32x32-64+strengths=0.75-0.5+steps=4-6",
    )

    stages: Words = ""
    strengths: Words = "0.5"
    steps: Words = ""

    def plan(self, steps: int) -> tuple[Stage, ...]:
        """Return the stages of a call with this many steps; ValueError for invalid options."""
        sizes = read_sizes(self.stages)
        strengths = read_numbers("strengths", self.strengths, len(sizes) - 1)
        later = read_numbers("steps", self.steps or str(steps), len(sizes) - 1)
        redrawn = [
            Stage(*size, int(n), s) for size, n, s in zip(sizes[1:], later, strengths, strict=True)
        ]
        return (Stage(*sizes[0], steps, 1.0), *redrawn)

    def refuse(self, context: Context) -> str | None:
        try:
            stages = self.plan(context.steps)
        except ValueError as error:
            return str(error)
        for stage in stages:
            if reason := refuse_size(stage.size, context.model):
                return f"stage {stage}: {reason}"
        if idle := next((stage for stage in stages if stage.calls < 1), None):
            steps = f"{idle.strength:g} × {idle.steps} steps"
            return f"stage {idle}: {steps} make less than one denoiser call: raise either"
        return None

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        return warn_of_size(read_sizes(self.stages)[0], context.model)

    def call_options(self) -> dict[str, int]:
        try:
            width, height = read_sizes(self.stages)[-1]
        except ValueError:  # `refuse` reports it
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

    def recipe(self, context: RecipeContext) -> RecipeLines:
        stages = tuple(
            (*stage.size, stage.calling_steps, stage.strength) for stage in self.plan(context.steps)
        )
        final = self.call_options()
        redraw = tuple(
            line.replace("IMAGE_PIPELINE", context.family.image_pipeline) for line in REDRAW
        )
        return RecipeLines(
            imports=(f"from diffusers import {context.family.image_pipeline}",),
            definitions=(f"STAGES = {stages!r}", "\n".join(redraw)),
            call={"height": str(final["height"]), "width": str(final["width"])},
            generate=DRAW_STAGES,
        )


REDRAW = (
    "def redraw(pipe, arguments, images, strength):",
    '    """Return enlarged images, redrawn from a share of the noise."""',
    "    sources = torch.as_tensor(images).permute(0, 3, 1, 2)",
    '    size = (arguments["height"], arguments["width"])',
    "    sources = torch.nn.functional.interpolate(",
    '        sources, size=size, mode="bicubic", antialias=True',
    "    ).clamp(0, 1)",
    "    settings = {key: v for key, v in pipe.config.items() if isinstance(v, bool)}",
    "    later = IMAGE_PIPELINE(**pipe.components, **settings)",
    "    later.set_progress_bar_config(disable=True)",
    "    source = sources.to(DEVICE, DTYPE)",
    '    return later(**hooked(pipe, {**arguments, "image": source, "strength": strength})).images',
)
"""What `image_to_image` of a model does, in a file without harness."""
DRAW_STAGES = (
    "images = None",
    "for width, height, steps, strength in STAGES:",
    "    arguments = make_arguments(prompts, seeds, negatives)",
    '    arguments |= {"width": width, "height": height, "num_inference_steps": steps}',
    "    if images is None:",
    "        images = draw(pipe, arguments)",
    "    else:",
    "        images = redraw(pipe, arguments, images, strength)",
    "return images",
)
