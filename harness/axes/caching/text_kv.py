"""Keys and values of the text, computed once per image: they do not depend on the step."""

from typing import ClassVar

from harness.axes.caching._reuse import BlockCounter, StepReuse
from harness.core.axis import Setup
from harness.core.effect import Effect
from harness.core.model import TextToImage


class TextKv(StepReuse):
    """Exact in models with cross-attention; where text and image attend jointly, the text changes with every block."""

    summary: ClassVar[str] = "cross-attention keys and values once per image"
    needs: ClassVar = "cross-attention (SD, SDXL, PixArt, Sana)"
    conflicts: ClassVar = StepReuse.conflicts | {"joint-attention"}
    tolerance: ClassVar = 1e-6

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.caching._hooks import hook_projections

        return BlockCounter("caching text-kv", hook_projections(model), "Take more steps.", "text projections")
