"""FlashAttention (Dao et al. 2022) included in PyTorch, for GPUs and CPUs."""

from typing import ClassVar

from harness.axes.attention._kernel import AttentionKernel, refuse_single_precision
from harness.core.axis import Context


class Flash(AttentionKernel):
    """Often the kernel that sdpa picks; here a cell fails if another kernel runs."""

    summary: ClassVar[str] = "PyTorch's FlashAttention only"
    needs: ClassVar = "FP16 or BF16 on a GPU"
    backend: ClassVar = "_native_flash"
    conflicts: ClassVar = AttentionKernel.conflicts | {"masked-attention"}
    operations: ClassVar = frozenset({"flash_attention", "flash_attention_for_cpu"})

    def refuse(self, context: Context) -> str | None:
        return refuse_single_precision(context)
