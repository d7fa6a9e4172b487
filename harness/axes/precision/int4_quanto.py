"""4-bit integer weights of Linear and Conv2d layers, a scale and a shift per group."""

from typing import ClassVar

from harness.axes.precision._quanto import Quanto


class Int4Quanto(Quanto):
    summary: ClassVar[str] = "int4 weights of linear and convolution layers"
    bits: ClassVar = 4
    weights: ClassVar = "int4"
    tolerance: ClassVar = 0.4
    examples: ClassVar = ("int4-quanto+modules=all", "int4-quanto+compute=bf16")

    def qtype(self) -> str:
        return "qint4"
