"""bfloat16: FP32's range with 8 bits of precision."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Bf16(AxisValue):
    summary: ClassVar[str] = "bfloat16 weights and arithmetic"

    def load_options(self) -> dict[str, str]:
        return {"dtype": "bfloat16"}
