"""8-bit integer weights of Linear layers, one scale per row (torchao)."""

from typing import Any, ClassVar

from harness.axes.precision._quantized import Torchao


class Int8Torchao(Torchao):
    summary: ClassVar[str] = "int8 weights of linear layers; optional dynamic activations"
    weights: ClassVar = "int8"
    tolerance: ClassVar = 0.05
    examples: ClassVar = (
        "int8-torchao+modules=all",
        "int8-torchao+dynamic",
        "int8-torchao+compute=bf16",
    )

    dynamic: bool = False
    """Multiply in 8 bits too, with each token's range and no calibration."""

    def config(self) -> Any:
        from torchao.quantization import Int8DynamicActivationInt8WeightConfig, Int8WeightOnlyConfig

        return Int8DynamicActivationInt8WeightConfig() if self.dynamic else Int8WeightOnlyConfig()

    def config_source(self) -> tuple[tuple[str, ...], str]:
        name = "Int8DynamicActivationInt8WeightConfig" if self.dynamic else "Int8WeightOnlyConfig"
        return (f"from torchao.quantization import {name}",), f"{name}()"
