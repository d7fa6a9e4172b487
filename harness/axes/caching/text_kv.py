"""Keys and values of the text, which do not depend on the step, once per image."""

from typing import ClassVar

from harness.axes.caching._reuse import SkippedBlocks, StepReuse
from harness.core.axis import Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage


class TextKv(StepReuse):
    """Exact with cross-attention; with joint attention, each block changes the text."""

    summary: ClassVar[str] = "cross-attention keys and values once per image"
    needs: ClassVar = "cross-attention (SD, SDXL, PixArt, Sana)"
    conflicts: ClassVar = StepReuse.conflicts | {"joint-attention"}
    tolerance: ClassVar = 1e-6

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._hooks import hook_projections

        hooks = hook_projections(model)
        return SkippedBlocks(self.where(), hooks, "Take more steps.", "text projections")
