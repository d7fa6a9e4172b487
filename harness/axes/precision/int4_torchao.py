"""4-bit integer weights of Linear layers, a scale and a zero point per group (torchao)."""

from typing import Any, ClassVar, Literal

from harness.axes.precision._quantized import Torchao


class Int4Torchao(Torchao):
    """Tinygemm's layout. Layers whose input does not divide into groups are left."""

    summary: ClassVar[str] = "int4 weights of linear layers"
    needs: ClassVar = "a GPU of capability 8.0, pip install torchao"
    bits: ClassVar = 4
    weights: ClassVar = "int4"
    capability: ClassVar = (8, 0)
    tolerance: ClassVar = 0.5
    examples: ClassVar = ("int4-torchao+group=32",)

    compute: Literal["bf16"] = "bf16"  # the kernel supports bfloat16 only
    group: Literal[32, 64, 128, 256] = 128
    """Weights that share a scale and a zero point."""

    def config(self) -> Any:
        from torchao.quantization import Int4WeightOnlyConfig
        from torchao.quantization.quantize_.workflows import Int4PackingFormat

        layout = Int4PackingFormat.TILE_PACKED_TO_4D  # the only one with kernels in torch
        return Int4WeightOnlyConfig(group_size=self.group, int4_packing_format=layout)

    def config_source(self) -> tuple[tuple[str, ...], str]:
        imports = (
            "from torchao.quantization import Int4WeightOnlyConfig",
            "from torchao.quantization.quantize_.workflows import Int4PackingFormat",
        )
        layout = "int4_packing_format=Int4PackingFormat.TILE_PACKED_TO_4D"
        return imports, f"Int4WeightOnlyConfig(group_size={self.group}, {layout})"
