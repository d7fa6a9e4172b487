"""Peak memory: the process's resident peak on a CPU, the allocator's and the device's figures on a GPU."""

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable
from pathlib import Path

import psutil

from harness.core.outcome import Memory
from harness.core.units import Absent
from harness.measure.nvml import first_card, refused, used_by_process

NO_GPU = Absent(absent="no GPU")
PROCESS = Path("/proc/self")


def free_bytes(device: str) -> int | None:
    """Return the memory that is free on a device, asked without torch; None where nothing tells."""
    if not device.startswith("cuda"):
        return int(psutil.virtual_memory().available)
    try:
        import pynvml

        return int(pynvml.nvmlDeviceGetMemoryInfo(first_card()).free)
    except Exception:  # NVML raises its own error types, also at import
        return None


def measure_peaks(call: Callable[[], object], device: str, free_before: int | None = None) -> Memory:
    """Return the highest memory while `call` runs; what a machine cannot tell is absent with its reason.

    The allocators' unused memory is given back before, so that all peaks are of this call. `free_before` is what was
    free on the device before this process used it, with all others in place (`free_bytes`): it tells what this process
    holds where the driver does not list it.
    """
    gpu = device.startswith("cuda")
    gc.collect()
    _trim()
    if gpu:
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = reset_resident_peak()
    call()
    peak = before if isinstance(before, Absent) else resident_peak()
    if not gpu:
        return _memory(NO_GPU, NO_GPU, NO_GPU, (before, peak))
    allocated, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
    return _memory(allocated, reserved, _used_bytes(reserved, free_before), (before, peak))


def _trim() -> None:
    """Let glibc give back what it keeps of freed memory; other C libraries offer no such thing."""
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _memory(
    allocated: int | Absent, reserved: int | Absent, used: int | Absent, resident: tuple[int | Absent, int | Absent]
) -> Memory:
    return Memory(
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        device_used_bytes=used,
        resident_bytes=resident[1],
        resident_before_bytes=resident[0],
    )


def _used_bytes(reserved: int, free_before: int | None) -> int | Absent:
    """What this process holds of the device: context, libraries and what torch reserved, which it keeps after a call.

    A figure below `reserved` is another's: pids in a container are not those that the driver counts.
    """
    try:
        used = used_by_process(first_card()).get(os.getpid(), Absent(absent="NVML does not list this process"))
    except Exception as error:
        used = refused(error)
    if not isinstance(used, Absent) and used >= reserved:
        return used
    free = free_bytes("cuda")
    if free_before is not None and free is not None and free_before - free >= reserved:
        return free_before - free
    reason = used.absent if isinstance(used, Absent) else "NVML lists another process by this pid"
    return Absent(absent=f"{reason}, and what others hold is not known")


def reset_resident_peak(process: Path = PROCESS) -> int | Absent:
    """Forget this process's resident peak so far, and return the resident memory that stays or why it cannot."""
    if not (process / "status").exists():
        return Absent(absent="no /proc on this system")
    try:
        (process / "clear_refs").write_text("5", encoding="utf-8")  # 5: reset VmHWM (proc(5))
    except OSError as error:
        return Absent(absent=f"the peak cannot be reset here: {error.strerror} (/proc/self/clear_refs)")
    return resident_peak(process)


def resident_peak(process: Path = PROCESS) -> int | Absent:
    """Return VmHWM of this process: the highest resident memory since the last reset."""
    for line in (process / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return Absent(absent="/proc/self/status has no VmHWM")
