"""8-bit integer weights of Linear and Conv2d layers, one scale per output channel."""

from typing import ClassVar

from harness.axes.precision._quanto import QuantoActivations


class Int8Quanto(QuantoActivations):
    summary: ClassVar[str] = "int8 weights of linear and convolution layers; optional activations"
    weights: ClassVar = "int8"
    compiles: ClassVar = False
    tolerance: ClassVar = 0.08
    examples: ClassVar = (
        "int8-quanto+modules=all",
        "int8-quanto+activations",
        "int8-quanto+compute=bf16",
    )

    def qtype(self) -> str:
        return "qint8"
