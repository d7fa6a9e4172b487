"""The baseline's precision: FP16 where it runs in hardware, else FP32. The plan says which."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Auto(AxisValue):
    summary: ClassVar[str] = "fp16 where it runs in hardware, else fp32"
