"""SageAttention: queries and keys in INT8 (Zhang et al. 2024)."""

from typing import ClassVar

from harness.axes.attention._kernel import HalfKernel


class Sage(HalfKernel):
    """Quantized, so close but not equal to the baseline; heads of 64, 96 or 128 channels."""

    summary: ClassVar[str] = "attention with queries and keys in INT8"
    needs: ClassVar = "a GPU, FP16 or BF16; pip install sageattention"
    conflicts: ClassVar = HalfKernel.conflicts | {"masked-attention"}
    backend: ClassVar = "sage"
    package: ClassVar = "sageattention"
