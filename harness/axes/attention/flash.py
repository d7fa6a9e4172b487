"""FlashAttention (Dao et al. 2022) as it comes with PyTorch, on GPUs and CPUs."""

from typing import ClassVar

from harness.axes.attention._kernel import AttentionKernel, refuse_half
from harness.core.axis import Context


class Flash(AttentionKernel):
    """Often what sdpa picks by itself; named here, a cell fails rather than to use another kernel."""

    summary: ClassVar[str] = "PyTorch's FlashAttention and no other"
    needs: ClassVar = "on a GPU FP16 or BF16"
    backend: ClassVar = "_native_flash"
    conflicts: ClassVar = AttentionKernel.conflicts | {"masked-attention"}
    operations: ClassVar = frozenset({"flash_attention", "flash_attention_for_cpu"})

    def refuse(self, context: Context) -> str | None:
        return refuse_half(context) if context.machine.gpus else None
