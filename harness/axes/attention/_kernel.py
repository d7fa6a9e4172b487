"""Attention computed by one chosen kernel, on every family."""

from typing import ClassVar

from harness.core.axis import AxisValue, Context, Setup, Unavailable
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import TextToImage


class AttentionKernel(AxisValue):
    """A kernel by its name in diffusers' attention dispatcher, for the attention of the denoiser.

    torch's permission to use a kernel is global to the process, so images are made by one thread.
    """

    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch", "exported"})
    stateful: ClassVar = True
    tolerance: ClassVar = 1e-4
    backend: ClassVar[str]
    operations: ClassVar[frozenset[str]] = frozenset()
    """What a kernel of torch is called in a trace; none for one of a package: then no kernel of torch may run."""

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.attention._switch import observe_kernels, switch_kernel

        layers = switch_kernel(model.denoiser, self.backend)
        seen = observe_kernels(model, setup.call)
        meant = sum(count for name, count in seen.items() if name in self.operations)
        others = sum(seen.values()) - meant
        if others or (self.operations and not meant):
            what = f"the denoiser's attention ran as {', '.join(seen) or 'no kernel that is known'}"
            raise NoEffect(what, f"attention {self.backend}", "Use attention sdpa for this model.")
        figures: dict[str, float | int | str] = {"layers": layers, "kernel_calls": meant or layers}
        return FixedEffect(f"{layers} attention layers of the denoiser use {self.backend.strip('_')}", figures)


class HalfKernel(AttentionKernel):
    """A kernel for FP16 and BF16 on an NVIDIA GPU."""

    needs: ClassVar = "a GPU, FP16 or BF16"
    tolerance: ClassVar = 2e-2
    package: ClassVar[str] = ""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        if not machine.gpus:
            return Unavailable(reason="needs an NVIDIA GPU", hint="run it on a machine with one, or use attention math")
        if machine.gpus[0].capability < (8, 0):
            return Unavailable(reason=f"needs compute capability 8.0, and {machine.gpus[0].name} is older")
        if self.package and self.package not in machine.packages:
            return Unavailable(reason=f"{self.package} is not installed", hint=f"pip install {self.package}")
        return None

    def refuse(self, context: Context) -> str | None:
        return refuse_half(context) if context.machine.gpus else None


def refuse_half(context: Context) -> str | None:
    """Return why a kernel of half precision does not fit a cell, or None if it does."""
    precision = context.values["precision"]
    whole = getattr(precision, "compute", "auto") == "fp32"  # the arithmetic around quantized weights
    if whole or not precision.tags & {"fp16", "bf16", "quantized"}:
        return "computes in FP16 or BF16, and this cell in FP32: set precision fp16 or bf16"
    return None
