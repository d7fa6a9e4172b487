"""PyTorch's own kernels, one operation at a time."""

from typing import ClassVar

from harness.core.axis import AxisValue


class Eager(AxisValue):
    summary: ClassVar[str] = "no compilation"
