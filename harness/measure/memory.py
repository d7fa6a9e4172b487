"""Peak memory: resident on a CPU; allocated, reserved and used on a GPU."""

import contextlib
import ctypes
import gc
import os
from collections.abc import Callable

import psutil

from harness.core.outcome import Memory
from harness.core.units import Absent
from harness.measure.nvml import find_first_card, read_used_bytes, try_read
from harness.process_memory import read_resident_peak, reset_resident_peak

NO_GPU = Absent(absent="no GPU")


def read_free_bytes(device: str) -> int | None:
    """Return the free memory of a device, without torch; None if it is unknown."""
    if not device.startswith("cuda"):
        return int(psutil.virtual_memory().available)
    free = try_read(_free_on_card)
    return None if isinstance(free, Absent) else free


def _free_on_card() -> int:
    import pynvml

    return int(pynvml.nvmlDeviceGetMemoryInfo(find_first_card()).free)


def release_cached(device: str) -> None:
    """Release the GPU memory that torch caches, and that garbage cycles occupy."""
    if device.startswith("cuda"):
        import torch

        gc.collect()
        torch.cuda.empty_cache()


def measure_peaks(
    call: Callable[[], object], device: str, free_before: int | None = None
) -> Memory:
    """Return the peak memory of a call.

    Unused memory of the allocators is released first, so that all peaks are of this call.
    `free_before`, the free memory of the device before this process used it (`read_free_bytes`),
    gives this process's share if the driver does not list it.
    """
    gpu = device.startswith("cuda")
    gc.collect()
    with contextlib.suppress(AttributeError, OSError, TypeError):  # only glibc can trim
        ctypes.CDLL(None).malloc_trim(0)
    if gpu:
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    before = reset_resident_peak()
    call()
    peak = before if isinstance(before, Absent) else read_resident_peak()
    allocated: int | Absent = NO_GPU
    reserved: int | Absent = NO_GPU
    used: int | Absent = NO_GPU
    if gpu:
        allocated = int(torch.cuda.max_memory_allocated())
        reserved = int(torch.cuda.max_memory_reserved())
        used = _used_bytes(reserved, free_before)
    return Memory(
        allocated_bytes=allocated,
        reserved_bytes=reserved,
        device_used_bytes=used,
        resident_bytes=peak,
        resident_before_bytes=before,
    )


def _used_bytes(reserved: int, free_before: int | None) -> int | Absent:
    """Return this process's memory on the device: context, libraries and torch's reservation.

    Torch keeps its reservation after a call. A value below `reserved` belongs to another process:
    in a container the driver may count pids of the host.
    """
    unlisted = Absent(absent="NVML does not list this process")
    used = try_read(lambda: read_used_bytes(find_first_card()).get(os.getpid(), unlisted))
    if not isinstance(used, Absent) and used >= reserved:
        return used
    free = read_free_bytes("cuda")
    if free_before is not None and free is not None and free_before - free >= reserved:
        return free_before - free
    reason = used.absent if isinstance(used, Absent) else "NVML lists another process by this pid"
    return Absent(absent=f"{reason}, and the memory of other processes is unknown")
