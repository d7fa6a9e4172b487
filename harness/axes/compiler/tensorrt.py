"""TensorRT: an engine tuned for this GPU."""

from typing import ClassVar

from harness.axes.compiler._exported import TensorRt


class Tensorrt(TensorRt):
    """TensorRT 10 and later; the engine has the cell's precision, fp32, fp16 or bf16."""

    summary: ClassVar[str] = "the denoiser as a TensorRT engine, tuned for this GPU"
    needs: ClassVar = "an NVIDIA GPU, pip install diffusion-harness[onnx,tensorrt]"
    package: ClassVar = "tensorrt"
    examples: ClassVar = ("tensorrt+fp8",)
