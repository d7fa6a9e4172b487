"""TensorRT for RTX: engines for consumer cards, built ahead of time, finished on the card."""

from typing import ClassVar

from harness.axes.compiler._tensorrt import TensorRt
from harness.core.axis import Unavailable
from harness.core.machine import Machine

CARDS = frozenset({(7, 5), (8, 0), (8, 6), (8, 9), (12, 0), (12, 1)})
"""Compute capabilities that TensorRT-RTX 1.7 builds for."""


class TensorrtRtx(TensorRt):
    """The same graph and code as `tensorrt`; only RTX cards (Turing, Ampere, Ada, Blackwell)."""

    summary: ClassVar[str] = "the denoiser as an engine of TensorRT for RTX"
    needs: ClassVar = "an RTX card, pip install diffusion-harness[onnx,tensorrt-rtx]"
    package: ClassVar = "tensorrt_rtx"
    examples: ClassVar = ("tensorrt-rtx+fp8",)

    def _unfit(self, machine: Machine) -> Unavailable | None:
        unfit = [card for card in machine.gpus if card.capability not in CARDS]
        if not unfit:
            return None
        capability = ".".join(map(str, unfit[0].capability))
        return Unavailable(
            reason=f"TensorRT-RTX has no engines for {unfit[0].name} ({capability})", hint="use tensorrt"
        )
