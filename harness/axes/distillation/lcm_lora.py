"""LCM-LoRA: a latent consistency model as a low-rank adapter, 2–8 steps without guidance (Luo et al. 2023)."""

from typing import ClassVar

from harness.core.axis import AxisValue
from harness.core.errors import MachineError
from harness.core.model import TextToImage


class LcmLora(AxisValue):
    """Load the adapter and fuse it into the denoiser, so that it costs nothing at run time."""

    summary: ClassVar[str] = "consistency LoRA: 2–8 steps, no guidance"
    trajectory: ClassVar = "changed"
    tags: ClassVar = frozenset({"distilled", "lora"})
    conflicts: ClassVar = frozenset({"no-lora"})
    defaults: ClassVar = {"scheduler": "lcm", "guidance": "1"}

    weights: str = ""
    """A LoRA file, folder or hub id; empty: the one that belongs to the model."""

    def apply(self, model: TextToImage) -> tuple[str, ...]:
        weights = self.weights or getattr(model, "lcm_lora", "")
        if not weights:
            fix = 'Name one: distillation = {name = "lcm-lora", weights = "FILE"}'
            raise MachineError("this model has no LCM-LoRA of its own", "distillation lcm-lora", fix)
        pipeline = model.pipeline
        pipeline.load_lora_weights(str(weights), adapter_name="lcm")
        pipeline.fuse_lora()
        pipeline.unload_lora_weights()
        return ("distillation: LCM-LoRA fused into the denoiser",)
