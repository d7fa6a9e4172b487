"""Peak memory: the process's resident peak on a CPU, the allocator's and the device's figures on a GPU."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import psutil

from harness.core.outcome import Memory
from harness.core.units import Absent
from harness.measure._cards import first_card

NO_GPU = Absent(absent="no GPU")


def free_bytes(device: str) -> int | None:
    """Return the memory that is free on a device, asked without torch; None where nothing tells."""
    if not device.startswith("cuda"):
        return int(psutil.virtual_memory().available)
    try:
        import pynvml

        return int(pynvml.nvmlDeviceGetMemoryInfo(first_card()).free)
    except Exception:  # NVML raises its own error types, also at import
        return None


def peaks_of(call: Callable[[], object], device: str) -> Memory:
    """Return the highest memory while `call` runs; what a machine cannot tell is absent with its reason."""
    before = _reset(device)
    call()
    resident = _resident_peak()
    if not device.startswith("cuda"):
        counts: dict[str, int | Absent] = dict.fromkeys(
            ("allocated_bytes", "reserved_bytes", "device_used_bytes"), NO_GPU
        )
        return Memory.model_validate({**counts, "resident_bytes": resident, "resident_before_bytes": before})
    import torch

    free, total = torch.cuda.mem_get_info()
    return Memory(
        allocated_bytes=torch.cuda.max_memory_allocated(),
        reserved_bytes=torch.cuda.max_memory_reserved(),
        device_used_bytes=total - free,
        resident_bytes=resident,
        resident_before_bytes=before,
    )


def _reset(device: str) -> int | Absent:
    """Forget the peaks so far and return the resident memory that stays."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats()
    with contextlib.suppress(OSError):  # _resident_peak says where the peak is absent
        Path("/proc/self/clear_refs").write_text("5")  # 5: reset VmHWM (proc(5))
    return _resident_peak()


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
