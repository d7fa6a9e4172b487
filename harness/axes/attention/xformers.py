"""Memory-efficient attention of the xFormers package (Lefaudeux et al. 2022)."""

from typing import ClassVar

from harness.axes.attention._kernel import HalfKernel


class Xformers(HalfKernel):
    summary: ClassVar[str] = "memory-efficient attention of xFormers"
    needs: ClassVar = "a GPU, FP16 or BF16; pip install xformers"
    backend: ClassVar = "xformers"
    package: ClassVar = "xformers"
