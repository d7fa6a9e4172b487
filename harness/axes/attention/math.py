"""Attention in plain operations: slow, needs much memory, runs everywhere."""

from typing import ClassVar

from harness.axes.attention._kernel import AttentionKernel


class Math(AttentionKernel):
    """The reference for other kernels; it computes the whole matrix of scores."""

    summary: ClassVar[str] = "plain operations, no fused kernel"
    backend: ClassVar = "_native_math"
    operations: ClassVar = frozenset({"attention_math"})
