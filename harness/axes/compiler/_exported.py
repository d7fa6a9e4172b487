"""Bases of values that run the denoiser outside torch, from its ONNX graph."""

from typing import Annotated, ClassVar

from pydantic import Field

from harness.core.axis import AxisValue, Setup, Unavailable, require_gpu, require_packages
from harness.core.effect import Effect
from harness.core.machine import Machine
from harness.core.model import TextToImage
from harness.core.recipe import NoRecipe, RecipeContext

FP8_CAPABILITY = (8, 9)
"""Ada; Hopper and Blackwell are newer."""


class Exported(AxisValue):
    """Excludes values inside the denoiser's layers, such as a cache of blocks."""

    tags: ClassVar = frozenset({"compiled", "exported"})
    conflicts: ClassVar = frozenset({"no-torch", "quantized", "block-cache"})
    stateful: ClassVar = True  # one session, which uses all threads

    def unseen_memory(self) -> str:
        return "torch does not count the engine's memory"

    def recipe(self, context: RecipeContext) -> NoRecipe:
        reason = "the denoiser runs as an engine that harness exports, checks and feeds"
        return NoRecipe(reason=reason, hint="use compiler inductor, or deploy the engine itself")


class TensorRt(Exported):
    """A strongly typed engine: it computes in the types of the graph, the cell's precision.

    A dynamic engine is tuned for the largest call it serves and reserves memory for it in smaller
    ones too. With `fp8`, Linear and Conv2d layers multiply in E4M3; all others keep the precision.
    """

    package: ClassVar[str]
    tolerance: ClassVar = 0.3  # with fp8; for others, `apply` checks parity with a lower limit
    repeatability: ClassVar = 1e-3

    workspace_gib: Annotated[float, Field(gt=0, le=512)] = 8.0
    """Memory that one layer's algorithm may use while it runs."""
    dynamic: bool = True
    """One engine for cells that differ in size, batch, guidance or steps; false: one per cell."""
    max_batch: Annotated[int, Field(ge=0, le=1024)] = 0
    """Images of the largest call; more run in parts. 0: the largest batch of the engine's cells."""
    fp8: bool = False
    """Multiply in 8-bit floats, calibrated on the first prompts of the set; one engine per cell."""
    calibration: Annotated[int, Field(ge=1)] = 8
    """Number of calibration prompts for fp8."""

    def unavailable(self, machine: Machine) -> Unavailable | None:
        return (
            require_packages(machine, "onnx", "onnxscript", self.package)
            or require_gpu(machine, hint="use openvino or onnxruntime on a CPU")
            or self._refuse_gpu(machine)
            or self._refuse_fp8(machine)
        )

    def _refuse_gpu(self, machine: Machine) -> Unavailable | None:
        """Return why this library builds no engines for the GPU, or None."""
        return None

    def _refuse_fp8(self, machine: Machine) -> Unavailable | None:
        older = [gpu for gpu in machine.gpus if gpu.capability < FP8_CAPABILITY]
        if not self.fp8 or not older:
            return None
        needed, found = (".".join(map(str, pair)) for pair in (FP8_CAPABILITY, older[0].capability))
        reason = f"fp8 engines need compute capability {needed}; {older[0].name} has {found}"
        return Unavailable(reason=reason, hint="leave fp8 out")

    def apply(self, model: TextToImage, setup: Setup) -> Effect:
        from harness.axes.compiler._engine import run_with_tensorrt

        return run_with_tensorrt(self, model, setup)
