"""How many images fit into memory: a lower bound known in the plan, and a search by trial."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from harness.core.axis import Context
from harness.core.errors import MachineError
from harness.core.machine import Machine
from harness.core.model import Call, TextToImage
from harness.core.units import format_percent

HALF_BYTES = 2
"""Of one number in the narrowest format that VAEs decode in."""


def memory_bytes(machine: Machine) -> int:
    """Return the bytes of the device that cells run on."""
    return machine.gpus[0].memory_bytes if machine.gpus else machine.memory_bytes


def least_bytes(context: Context, images: int) -> int:
    """Return what a call of this many images needs at the very least.

    All images of a call are decoded at once: the VAE's last block holds `images` × channels × height × width numbers.
    Zero where the model has no folder to tell.
    """
    path = Path(context.model.folder) / "vae" / "config.json"
    if not context.model.folder or not path.is_file():
        return 0
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    channels = (config.get("decoder_block_out_channels") or config.get("block_out_channels") or [3])[0]
    size = context.values["resolution"].call_options()
    return int(images * channels * size["width"] * size["height"] * HALF_BYTES)


def largest_that_fits(fits: Callable[[int], bool], limit: int) -> int:
    """Return the largest number up to `limit` that fits, given that smaller ones fit too; 0 if not even one does.

    Doubles until one does not fit, then bisects.
    """
    good, bad = 0, limit + 1
    trial = 1
    while trial < bad:
        if fits(trial):
            good, trial = trial, min(2 * trial, limit) if trial < limit else limit + 1
        else:
            bad = trial
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if fits(middle) else (good, middle)
    return good


def one_step(call: Call, images: int) -> Call:
    """Return a call of one step for this many images: memory is the same in every step."""
    return call.of(place % len(call.prompts) for place in range(images)).model_copy(update={"steps": 1})


_CLEAR = Path("/proc/self/clear_refs")
"""Writing 5 to it resets the peak that VmHWM tells."""


class CpuTrial:
    """A batch fits if its peak, extrapolated from the largest two that ran, leaves memory for others."""

    def __init__(self, model: TextToImage, call: Call, share: float) -> None:
        if not _CLEAR.exists():
            where = "batch largest"
            raise MachineError("a process's peak memory can be read on Linux only", where, "Name a number of images.")
        self.model, self.call = model, call
        self.peaks: dict[int, int] = {}
        model.generate(one_step(call, 1))  # what the very first call sets up is no batch's own
        self.idle, self.budget = _status("VmRSS"), int(share * _free())
        self.count, self.reason = 0, f"{format_percent(share, 0)} of the free memory"

    def fits(self, images: int) -> bool:
        """Return whether the batch is expected to fit; if so, run one step of it and note its peak."""
        if self._expected(images) > self.idle + self.budget:
            return False
        self.count += 1
        _CLEAR.write_text("5", encoding="utf-8")
        self.model.generate(one_step(self.call, images))
        self.peaks[images] = _status("VmHWM")
        return self.peaks[images] <= self.idle + self.budget

    def _expected(self, images: int) -> float:
        """The peak of a batch, linear in its size: activations are, weights stay as they are."""
        if not self.peaks:
            return 0.0
        each = max((peak - self.idle) / size for size, peak in self.peaks.items())
        return self.idle + each * images


def _status(name: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _free() -> int:
    import psutil

    return int(psutil.virtual_memory().available)


class GpuTrial:
    """A batch fits if the card does not run out of memory."""

    def __init__(self, model: TextToImage, call: Call) -> None:
        self.model, self.call = model, call
        self.peaks: dict[int, int] = {}
        self.count, self.reason = 0, "out of memory"

    def fits(self, images: int) -> bool:
        """Return whether one step of this many images runs."""
        import torch

        self.count += 1
        torch.cuda.reset_peak_memory_stats()
        try:
            self.model.generate(one_step(self.call, images))
        except torch.OutOfMemoryError:
            fits = False
        else:
            self.peaks[images] = torch.cuda.max_memory_allocated()
            fits = True
        torch.cuda.empty_cache()
        return fits


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
