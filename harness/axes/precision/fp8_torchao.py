"""8-bit floats in Linear layers, multiplied by fp8 tensor cores (torchao)."""

from typing import Any, ClassVar, Literal

from harness.axes.precision._quantized import Torchao, warn_of_eager_fp8
from harness.core.axis import Context
from harness.core.outcome import Caution


class Fp8Torchao(Torchao):
    """Activations are quantized in each call. Sides must be multiples of 16; others are left."""

    summary: ClassVar[str] = "fp8 weights and activations of linear layers"
    needs: ClassVar = "a GPU of capability 8.9, pip install torchao"
    weights: ClassVar = "fp8"
    capability: ClassVar = (8, 9)
    arithmetic: ClassVar = "float8_e4m3fn"
    tolerance: ClassVar = 0.3
    examples: ClassVar = ("fp8-torchao+granularity=tensor",)

    compute: Literal["bf16"] = "bf16"  # scales per row support bfloat16 weights only
    granularity: Literal["row", "tensor"] = "row"
    """One scale per row of weights and per token, or one per matrix."""

    def config(self) -> Any:
        from torchao.quantization import (
            Float8DynamicActivationFloat8WeightConfig,
            PerRow,
            PerTensor,
        )

        return Float8DynamicActivationFloat8WeightConfig(
            granularity=PerRow() if self.granularity == "row" else PerTensor()
        )

    def config_source(self) -> tuple[tuple[str, ...], str]:
        scales = "PerRow" if self.granularity == "row" else "PerTensor"
        name = "Float8DynamicActivationFloat8WeightConfig"
        imports = (f"from torchao.quantization import {name}, {scales}",)
        return imports, f"{name}(granularity={scales}())"

    def cautions(self, context: Context) -> tuple[Caution, ...]:
        return warn_of_eager_fp8(context)
