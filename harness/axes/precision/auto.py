"""FP16 if the hardware supports it, else FP32; the plan shows which."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Auto(AxisValue):
    summary: ClassVar[str] = "fp16 if the hardware supports it, else fp32"
