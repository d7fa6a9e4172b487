"""Try a batch size on a CPU, where a process without memory is killed: small ones tell what large ones would need."""

from pathlib import Path

from harness.axes.batch._one_step import one_step
from harness.core.errors import MachineError
from harness.core.model import Call, TextToImage
from harness.core.units import format_percent

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
