"""A torch.profiler trace of one call, in the format that Perfetto opens."""

import errno
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from harness.core.trace import recording
from harness.measure.clock import synchronize

LEAST_STEPS = 2
"""The fewest steps that tell a first step from the others."""
PLAIN_BYTES, SECONDS = 64 * 2**20, 30.0
"""About the size of a trace before it is packed (a tenth, after), and how long a traced call may take: more steps than
that are not traced."""

LEAST_FREE = 64 * 1024
"""Bytes free on the disk below which what the profiler wrote is taken to be cut short."""

DRIVER = Path("/proc/driver/nvidia/params")


class Profiled(NamedTuple):
    """What was profiled: its steps, new graphs that torch.compile made meanwhile, and what it lacks ('': nothing)."""

    steps: int
    recompiles: int
    note: str


def profile_call(call: Callable[[int], object], steps: int, plain: Path, device: str) -> Profiled:
    """Run `call(n)`, a call of n steps, under the profiler and write what it saw to `plain`, a Chrome trace.

    All `steps` are traced if that is affordable, else the first few: a first profiled call of two steps, which also
    pays for the profiler's own start, tells. Stacks and shapes are left out: they make traces huge. Raises OSError
    as the disk does, and what the call raises.
    """
    least = min(LEAST_STEPS, steps)
    seconds = _profile(lambda: call(least), plain, device)
    share = min(PLAIN_BYTES / max(plain.stat().st_size, 1), SECONDS / seconds)
    traced = min(steps, max(least, int(least * share)))
    before = _graphs()
    _profile(lambda: call(traced), plain, device)
    fewer = f"a call of {traced} steps instead of {steps}: what depends on the number of steps may differ"
    return Profiled(traced, _graphs() - before, fewer if traced < steps else "")


def _profile(call: Callable[[], object], plain: Path, device: str) -> float:
    """Write the plain trace of a call and return the seconds it took."""
    from torch.profiler import ProfilerActivity, profile, record_function, supported_activities

    wanted = {ProfilerActivity.CPU, ProfilerActivity.CUDA} if device.startswith("cuda") else {ProfilerActivity.CPU}
    with profile(activities=sorted(wanted & supported_activities(), key=str)) as profiler, recording(record_function):
        begin = time.perf_counter()
        call()
        synchronize(device)
        seconds = time.perf_counter() - begin
    profiler.export_chrome_trace(str(plain))
    if shutil.disk_usage(plain.parent).free < LEAST_FREE:  # kineto says nothing of what it could not write
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(plain))
    return seconds


def _graphs() -> int:
    """How many graphs torch.compile has made in this process."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo else 0


def why_blind() -> str:
    """Say why a trace of a GPU shows nothing of the GPU, and what to do."""
    missing = "no kernel of the GPU was seen: "
    if DRIVER.exists() and "RmProfilingAdminOnly: 1" in DRIVER.read_text(encoding="utf-8") and os.geteuid() != 0:
        return missing + (
            "the driver shows its counters to administrators only; set NVreg_RestrictProfilingToAdminUsers=0 for the "
            "nvidia module, or give the container CAP_SYS_ADMIN, then: harness profile RUN CELL"
        )
    return missing + (
        "CUPTI is missing or was refused (see worker.log; CUPTI_ERROR_INSUFFICIENT_PRIVILEGES: allow counters with "
        "NVreg_RestrictProfilingToAdminUsers=0; another profiler may be attached), then: harness profile RUN CELL"
    )
