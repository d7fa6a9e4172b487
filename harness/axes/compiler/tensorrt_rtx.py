"""TensorRT for RTX: engines for consumer GPUs, built ahead of time and finished on the GPU."""

from typing import ClassVar

from harness.axes.compiler._exported import TensorRt
from harness.core.axis import Unavailable
from harness.core.machine import Machine

CAPABILITIES = frozenset({(7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1)})
"""Compute capabilities that TensorRT-RTX 1.7 supports."""


class TensorrtRtx(TensorRt):
    """The same graph and code as `tensorrt`, for RTX GPUs only (Turing, Ampere, Ada, Blackwell)."""

    summary: ClassVar[str] = "the denoiser as an engine of TensorRT for RTX"
    needs: ClassVar = "an RTX GPU, pip install diffusion-harness[onnx,tensorrt-rtx]"
    package: ClassVar = "tensorrt_rtx"
    examples: ClassVar = ("tensorrt-rtx+fp8",)

    def _refuse_gpu(self, machine: Machine) -> Unavailable | None:
        other = next((gpu for gpu in machine.gpus if gpu.capability not in CAPABILITIES), None)
        if other is None:
            return None
        capability = ".".join(map(str, other.capability))
        reason = f"TensorRT-RTX does not support {other.name} ({capability})"
        return Unavailable(reason=reason, hint="use tensorrt")
