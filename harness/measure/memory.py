"""Peak memory: the process's resident peak on a CPU, the allocator's and the device's figures on a GPU."""

import contextlib
from pathlib import Path

import psutil

from harness.core.base import Frozen
from harness.core.units import Absent
from harness.measure._cards import first_card

NO_GPU = Absent(absent="no GPU")


class Peaks(Frozen):
    """Highest memory since the last reset; what a machine cannot tell is absent with its reason."""

    allocated_bytes: int | Absent
    reserved_bytes: int | Absent
    device_used_bytes: int | Absent
    resident_bytes: int | Absent


def free_bytes(device: str) -> int | None:
    """Return the memory that is free on a device, asked without torch; None where nothing tells."""
    if not device.startswith("cuda"):
        return int(psutil.virtual_memory().available)
    try:
        import pynvml

        return int(pynvml.nvmlDeviceGetMemoryInfo(first_card()).free)
    except Exception:  # NVML raises its own error types, also at import
        return None


def reset_peaks(device: str) -> None:
    """Forget the peaks so far, so that the next reading covers only what follows."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):  # read_peaks says where the peak is absent
        Path("/proc/self/clear_refs").write_text("5")  # 5: reset VmHWM (proc(5))


def read_peaks(device: str) -> Peaks:
    """Return the peaks since `reset_peaks`."""
    if not device.startswith("cuda"):
        resident = _resident_peak()
        return Peaks(allocated_bytes=NO_GPU, reserved_bytes=NO_GPU, device_used_bytes=NO_GPU, resident_bytes=resident)
    import torch

    free, total = torch.cuda.mem_get_info()
    return Peaks(
        allocated_bytes=torch.cuda.max_memory_allocated(),
        reserved_bytes=torch.cuda.max_memory_reserved(),
        device_used_bytes=total - free,
        resident_bytes=_resident_peak(),
    )


def _resident_peak() -> int | Absent:
    """VmHWM of this process; it can be reset only where /proc/self/clear_refs is writable."""
    status = Path("/proc/self/status")
    if not status.exists():
        return Absent(absent="no /proc on this system")
    if not Path("/proc/self/clear_refs").exists():
        return Absent(absent="the peak cannot be reset here (/proc/self/clear_refs)")
    for line in status.read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return Absent(absent="/proc/self/status has no VmHWM")
