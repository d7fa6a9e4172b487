"""4-bit integer weights of Linear layers, a scale and a zero point for each group, in tinygemm's layout (torchao)."""

from typing import Any, ClassVar, Literal

from harness.axes.precision._quantized import Torchao


class Int4Torchao(Torchao):
    """Layers whose input does not divide into groups stay as they are, and are counted as left."""

    summary: ClassVar[str] = "int4 weights of linear layers"
    needs: ClassVar = "a GPU of capability 8.0, pip install torchao"
    bits: ClassVar = 4
    weights: ClassVar = "int4"
    capability: ClassVar = (8, 0)
    tolerance: ClassVar = 0.5
    examples: ClassVar = ("int4-torchao+group=32",)

    compute: Literal["bf16"] = "bf16"  # the kernel multiplies bfloat16 only
    group: Literal[32, 64, 128, 256] = 128
    """How many weights share a scale and a zero point."""

    def config(self) -> Any:
        from torchao.quantization import Int4WeightOnlyConfig
        from torchao.quantization.quantize_.workflows import Int4PackingFormat

        # The one layout whose kernels come with torch itself.
        return Int4WeightOnlyConfig(group_size=self.group, int4_packing_format=Int4PackingFormat.TILE_PACKED_TO_4D)
