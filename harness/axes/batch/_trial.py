"""Try a batch size: run one step of it and see what becomes of memory."""

from typing import Protocol

from harness.axes.batch._trial_cpu import CpuTrial
from harness.axes.batch._trial_gpu import GpuTrial
from harness.core.model import Call, TextToImage


class Trial(Protocol):
    """`peaks` are bytes by batch size, `count` how many were run, `reason` why the last one did not fit."""

    peaks: dict[int, int]
    count: int
    reason: str

    def fits(self, images: int) -> bool:
        """Return whether a batch of this many images fits."""


def trial_for(model: TextToImage, call: Call, share: float) -> Trial:
    """Return how to try batches on the model's device; MachineError where nothing tells a process's peak memory."""
    return CpuTrial(model, call, share) if model.device == "cpu" else GpuTrial(model, call)
