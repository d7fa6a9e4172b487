"""Memory of this process: its resident peak (VmHWM, on Linux), and errors for lack of memory."""

import re
from pathlib import Path

from harness.core.units import Absent

PROCESS = Path("/proc/self")
OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemory|std::bad_alloc|Failed to allocate memory"
    r"|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_\w*ALLOC\w*"
)
"""What torch, cuBLAS, cuDNN, TensorRT, ONNX Runtime and C++ say when memory ran out."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory of the process or of a device ran out, in any library."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or OUT_OF_MEMORY.search(str(error)) is not None


def reset_resident_peak(process: Path = PROCESS) -> int | Absent:
    """Reset this process's resident peak and return its resident memory, or why that fails."""
    if not (process / "status").exists():
        return Absent(absent="no /proc on this system")
    try:
        (process / "clear_refs").write_text("5", encoding="utf-8")  # 5: reset VmHWM (proc(5))
    except OSError as error:
        why = f"the peak cannot be reset here: {error.strerror} (/proc/self/clear_refs)"
        return Absent(absent=why)
    return read_resident_peak(process)


def read_resident_peak(process: Path = PROCESS) -> int | Absent:
    """Return VmHWM of this process: the highest resident memory since the last reset."""
    for line in (process / "status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return Absent(absent="/proc/self/status has no VmHWM")
