"""Combinations that run, but not faster."""

from harness.core.axis import Context
from harness.core.outcome import Caution


def compiled(context: Context) -> bool:
    """Whether another value of the cell compiles the denoiser."""
    return any("compiled" in value.tags for value in context.values.values())


def fp8_without_compiler(context: Context) -> tuple[Caution, ...]:
    """Return a warning where 8-bit floats are cast one operation at a time, as torchao measured on an H100."""
    if not context.machine.gpus or compiled(context):
        return ()
    message = "fp8 without a compiler is slower than bf16 on a GPU: scaling and casting are kernels of their own"
    return (Caution(kind="fp8-eager", message=message, advice="Add compiler = inductor to this cell."),)
