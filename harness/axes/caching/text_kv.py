"""Keys and values of the text, which do not depend on the step, once per image."""

from typing import ClassVar

from harness.axes.caching._reuse import SkippedBlocks, StepReuse
from harness.core.axis import Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage
from harness.core.recipe import RecipeContext, RecipeLines, read_source


class TextKv(StepReuse):
    """Exact with cross-attention; with joint attention, each block changes the text."""

    summary: ClassVar[str] = "cross-attention keys and values once per image"
    needs: ClassVar = "cross-attention (SD, SDXL, PixArt, Sana)"
    conflicts: ClassVar = StepReuse.conflicts | {"joint-attention"}
    tolerance: ClassVar = 1e-6

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._hooks import hook_projections

        image, hooks = hook_projections(model.denoiser)
        model.hooks.append(image.begin)
        return SkippedBlocks(self.where(), hooks, "Take more steps.", "text projections")

    def recipe(self, context: RecipeContext) -> RecipeLines:
        names = ("TEXT_KV", "_register", "ImageCounter", "OncePerImage", "hook_projections")
        return RecipeLines(
            imports=(
                "from diffusers.hooks import HookRegistry, ModelHook",
                "from diffusers.models.attention_processor import Attention",
            ),
            definitions=read_source("harness.axes.caching._hooks", *names),
            build=(f"image, _ = hook_projections({context.denoiser})", "HOOKS.append(image.begin)"),
        )
