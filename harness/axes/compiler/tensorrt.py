"""TensorRT: an engine tuned for this very card."""

from typing import ClassVar

from harness.axes.compiler._tensorrt import TensorRt


class Tensorrt(TensorRt):
    """Strongly typed networks (TensorRT 10 and later): precision fp32, fp16 or bf16 of the cell is the engine's."""

    summary: ClassVar[str] = "the denoiser as a TensorRT engine, tuned for this GPU"
    needs: ClassVar = "an NVIDIA GPU, pip install diffusion-harness[onnx,tensorrt]"
    package: ClassVar = "tensorrt"
    examples: ClassVar = ("tensorrt+fp8",)
