"""Bases of attention kernels, for every model family."""

from typing import ClassVar

from harness.core.axis import AxisValue, Context, Setup, Unavailable, require_gpu, require_packages
from harness.core.effect import Effect, FixedEffect
from harness.core.errors import NoEffect
from harness.core.machine import Machine
from harness.core.model import TextToImage
from harness.core.outcome import Figures
from harness.core.recipe import RecipeContext, RecipeLines, read_source


class AttentionKernel(AxisValue):
    """A kernel of diffusers' attention dispatcher, for the denoiser's attention.

    Torch enables kernels for the whole process, so one thread makes the images.
    """

    conflicts: ClassVar = frozenset({"no-pipeline", "no-torch", "exported"})
    stateful: ClassVar = True
    tolerance: ClassVar = 1e-4
    backend: ClassVar[str]
    operations: ClassVar[frozenset[str]] = frozenset()
    """Torch's names of the kernel in a trace; empty for other packages: no torch kernel may run."""

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.attention._switch import count_kernels, switch_kernel

        layers = switch_kernel(model.denoiser, self.backend)
        seen = count_kernels(model, setup.call)
        wanted = sum(count for name, count in seen.items() if name in self.operations)
        if sum(seen.values()) > wanted or (self.operations and not wanted):
            what = f"the denoiser's attention ran as {', '.join(seen) or 'an unknown kernel'}"
            fix = "Use attention sdpa for this model."
            raise NoEffect(what, f"attention {self.backend}", fix)
        name = self.backend.strip("_")
        figures: Figures = {"layers": layers, "kernel_calls": wanted or layers}
        return FixedEffect(f"{layers} attention layers of the denoiser use {name}", figures)

    def recipe(self, context: RecipeContext) -> RecipeLines:
        names = ("HOOK", "RedirectMode", "RedirectHook", "switch_kernel")
        dispatch = "AttentionBackendName, attention_backend, dispatch_attention_fn"
        return RecipeLines(
            imports=(
                "from diffusers.hooks import HookRegistry, ModelHook",
                "from diffusers.models.attention import AttentionModuleMixin",
                f"from diffusers.models.attention_dispatch import {dispatch}",
                "from diffusers.models.attention_processor import Attention",
                "from torch.nn.functional import scaled_dot_product_attention",
                "from torch.overrides import TorchFunctionMode",
            ),
            packages=self.recipe_packages(),
            definitions=read_source("harness.axes.attention._switch", *names),
            build=(f'switch_kernel({context.denoiser}, "{self.backend}")',),
        )

    def recipe_packages(self) -> tuple[str, ...]:
        """Return the packages that the kernel comes from, besides torch."""
        return ()


class HalfKernel(AttentionKernel):
    """A kernel for FP16 and BF16 on an NVIDIA GPU."""

    needs: ClassVar = "a GPU, FP16 or BF16"
    tolerance: ClassVar = 2e-2
    package: ClassVar[str] = ""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        packages = (self.package,) if self.package else ()
        hint = "run it on a machine with one, or use attention math"
        return require_gpu(machine, (8, 0), hint) or require_packages(machine, *packages)

    def refuse(self, context: Context) -> str | None:
        return refuse_single_precision(context)

    def recipe_packages(self) -> tuple[str, ...]:
        return (self.package,) if self.package else ()


def refuse_single_precision(context: Context) -> str | None:
    """Return why a half-precision kernel cannot run in a cell on a GPU, or None."""
    precision = context.values["precision"]
    # Quantized weights have an option for the precision they compute in.
    single = getattr(precision, "compute", "auto") == "fp32"
    half = precision.tags & {"fp16", "bf16", "quantized"} and not single
    if half or not context.machine.gpus:
        return None
    return "this kernel computes in FP16 or BF16, the cell in FP32: set precision fp16 or bf16"
