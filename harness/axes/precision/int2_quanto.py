"""2-bit integer weights of Linear and Conv2d layers, a scale and a shift per group."""

from typing import ClassVar

from harness.axes.precision._quanto import Quanto


class Int2Quanto(Quanto):
    summary: ClassVar[str] = "int2 weights of linear and convolution layers; breaks most models"
    bits: ClassVar = 2
    weights: ClassVar = "int2"
    tolerance: ClassVar = 0.6

    def qtype(self) -> str:
        return "qint2"
