"""cuDNN's fused attention, included in PyTorch."""

from typing import ClassVar

from harness.axes.attention._kernel import HalfKernel


class Cudnn(HalfKernel):
    summary: ClassVar[str] = "cuDNN's fused attention"
    backend: ClassVar = "_native_cudnn"
    operations: ClassVar = frozenset({"cudnn_attention"})
