"""IEEE half precision: the field's baseline on GPUs."""

from typing import ClassVar

from harness.core.axis import AxisValue, Unavailable
from harness.core.machine import Machine


class Fp16(AxisValue):
    summary: ClassVar[str] = "16-bit floats; needs hardware FP16"

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if machine.native_fp16:
            return None
        return Unavailable(reason="no native FP16 on this machine", hint="use fp32 or bf16, or a GPU")

    def load_options(self) -> dict[str, str]:
        return {"dtype": "float16"}
