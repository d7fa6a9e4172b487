"""bfloat16: FP32's range, 8 bits of precision."""

from typing import ClassVar

from harness.axes.precision._quantized import Dtype
from harness.core.axis import Context
from harness.core.outcome import Caution


class Bf16(Dtype):
    summary: ClassVar[str] = "bfloat16 weights and arithmetic"
    tolerance: ClassVar = 0.1
    tags: ClassVar = frozenset({"bf16"})
    dtype: ClassVar = "bfloat16"

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        if not context.machine.gpus or "upcasts-vae" not in context.model.tags:
            return ()
        message = (
            f"bf16 decodes in bf16, fp16 in fp32: the {context.model.title} casts its fp16 VAE"
        )
        advice = "At few steps much of the speedup over fp16 is the VAE's: compare stage times."
        return (Caution(kind="vae-format", message=message, advice=advice),)
