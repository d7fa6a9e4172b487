"""Attention written out in plain operations: slow, needs much memory, runs everywhere."""

from typing import ClassVar

from harness.axes.attention._kernel import AttentionKernel


class Math(AttentionKernel):
    """What other kernels are compared with; it makes the whole matrix of scores."""

    summary: ClassVar[str] = "plain operations, no fused kernel"
    backend: ClassVar = "_native_math"
    operations: ClassVar = frozenset({"attention_math"})
