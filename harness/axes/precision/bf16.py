"""bfloat16: FP32's range, 8 bits of precision."""

from typing import ClassVar

from harness.axes.precision._quantized import Dtype


class Bf16(Dtype):
    summary: ClassVar[str] = "bfloat16 weights and arithmetic"
    tolerance: ClassVar = 0.1
    tags: ClassVar = frozenset({"bf16"})
    dtype: ClassVar = "bfloat16"
