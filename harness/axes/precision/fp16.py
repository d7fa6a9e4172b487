"""IEEE half precision, the usual baseline on GPUs."""

from typing import ClassVar

from harness.axes.precision._quantized import Dtype
from harness.core.axis import Unavailable
from harness.core.machine import Machine


class Fp16(Dtype):
    summary: ClassVar[str] = "16-bit floats"
    needs: ClassVar = "a GPU"
    tolerance: ClassVar = 0.05
    tags: ClassVar = frozenset({"fp16"})
    dtype: ClassVar = "float16"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.native_fp16:
            return None
        return Unavailable(
            reason="no native FP16 on this machine", hint="use fp32 or bf16, or a GPU"
        )
