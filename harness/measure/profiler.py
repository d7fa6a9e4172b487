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
"""The fewest steps that distinguish the first step from others."""
PLAIN_BYTES, SECONDS = 64 * 2**20, 30.0
"""Limits of a traced call: bytes of the unpacked trace (ten times the packed size), and seconds."""
LEAST_FREE = 64 * 1024
"""Free bytes on the disk below which a written trace is considered truncated."""
DRIVER = Path("/proc/driver/nvidia/params")


class Profiled(NamedTuple):
    """The traced steps, the graphs that torch.compile made meanwhile, and a note, or ''."""

    steps: int
    recompiles: int
    note: str


def profile_call(call: Callable[[int], object], steps: int, plain: Path, device: str) -> Profiled:
    """Profile `call(n)`, a call of n steps, and write a Chrome trace to `plain`.

    A first call of two steps starts up the profiler and decides how many of all `steps` the limits
    allow. Stacks and shapes are left out: they make traces huge. Raises OSError, and what the call
    raises.
    """
    least = min(LEAST_STEPS, steps)
    seconds = _profile(lambda: call(least), plain, device)
    share = min(PLAIN_BYTES / max(plain.stat().st_size, 1), SECONDS / seconds)
    traced = min(steps, max(least, int(least * share)))
    before = _graphs()
    _profile(lambda: call(traced), plain, device)
    fewer = f"a call of {traced} steps instead of {steps}: times per call differ"
    return Profiled(traced, _graphs() - before, fewer if traced < steps else "")


def _profile(call: Callable[[], object], plain: Path, device: str) -> float:
    """Write the trace of a call and return the seconds it took."""
    from torch.profiler import ProfilerActivity, profile, record_function, supported_activities

    kinds = {ProfilerActivity.CPU} | (
        {ProfilerActivity.CUDA} if device.startswith("cuda") else set()
    )
    activities = sorted(kinds & supported_activities(), key=str)
    with profile(activities=activities) as profiler, recording(record_function):
        begin = time.perf_counter()
        call()
        synchronize(device)
        seconds = time.perf_counter() - begin
    profiler.export_chrome_trace(str(plain))
    if shutil.disk_usage(plain.parent).free < LEAST_FREE:  # kineto reports no failed write
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(plain))
    return seconds


def _graphs() -> int:
    """Return the number of graphs that torch.compile has made in this process."""
    dynamo = sys.modules.get("torch._dynamo.utils")
    return int(dynamo.counters["stats"]["unique_graphs"]) if dynamo else 0


def explain_missing_kernels() -> str:
    """Return why a trace of a GPU has no kernels, and what to do."""
    allow = "NVreg_RestrictProfilingToAdminUsers=0"
    if are_counters_denied():
        why = "the driver shows its counters to administrators only"
        fix = f"set {allow} for the nvidia module, or give the container CAP_SYS_ADMIN"
    else:
        why = "CUPTI is missing or was denied, or another profiler is attached; see worker.log"
        fix = f"for CUPTI_ERROR_INSUFFICIENT_PRIVILEGES set {allow}"
    return f"the trace has no GPU kernel: {why}; {fix}, then run: harness profile RUN CELL"


def are_counters_denied() -> bool:
    """Return whether NVIDIA's driver denies this user its performance counters."""
    restricted = DRIVER.exists() and "RmProfilingAdminOnly: 1" in DRIVER.read_text(encoding="utf-8")
    return restricted and os.geteuid() != 0
