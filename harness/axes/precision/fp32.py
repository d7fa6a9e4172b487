"""IEEE single precision: the baseline where no hardware FP16 exists."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Fp32(AxisValue):
    summary: ClassVar[str] = "32-bit floats"

    def load_options(self) -> dict[str, str]:
        return {"dtype": "float32"}
