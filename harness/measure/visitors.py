"""Who else uses the GPU: the processes that NVML lists there, without ours."""

import contextlib
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import psutil

from harness.core.timing import Visitor
from harness.core.units import Absent
from harness.measure._cards import first_card, refused

NAMESPACE = Path("/proc/self/ns/pid")
WHOLE_MACHINE = "pid:[4026531836]"
"""The link of a process that counts pids as the whole machine does (Linux, PROC_PID_INIT_INO), as NVML may too."""


def visitors(device: str, ours: Collection[int]) -> tuple[Visitor, ...] | Absent:
    """Return the processes on the GPU whose pid is not among `ours`, lowest first.

    In a container NVML may list nobody, or everybody by pids of the machine outside, our own processes too. So where
    pids are the container's own, the list counts only if it names one of ours; else nothing is said.
    """
    if not device.startswith("cuda"):
        return Absent(absent="no GPU")
    try:
        return visitors_of(first_card(), ours)
    except Exception as error:
        return refused(error)


def visitors_of(card: Any, ours: Collection[int]) -> tuple[Visitor, ...] | Absent:
    """Return the visitors of one card, by its NVML handle; raises what NVML raises."""
    used = used_by_process(card)
    if not used.keys() & set(ours) and not _pids_are_the_machines():
        listed = f"lists {len(used)} by other pids" if used else "lists none"
        return Absent(absent=f"a container has pids of its own: NVML {listed}, so others cannot be told from ours")
    foreign = sorted(used.keys() - set(ours))
    return tuple(Visitor(pid=pid, name=_name(pid), used_bytes=used[pid]) for pid in foreign)


def used_by_process(card: Any) -> dict[int, int | Absent]:
    """Return the bytes of the card that each process holds, by pid; raises what NVML raises."""
    import pynvml

    listed = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    with contextlib.suppress(pynvml.NVMLError):  # cards without a display, and slices, draw no pictures
        listed = [*listed, *pynvml.nvmlDeviceGetGraphicsRunningProcesses(card)]
    used: dict[int, int | Absent] = {}
    for process in listed:
        count = process.usedGpuMemory
        known = Absent(absent="NVML: this driver does not tell it") if count is None else int(count)
        used[int(process.pid)] = known  # in both lists it is the same figure: a process's memory, whatever it is for
    return used


def _pids_are_the_machines() -> bool:
    if sys.platform != "linux":
        return True
    try:
        return os.readlink(NAMESPACE) == WHOLE_MACHINE
    except OSError:
        return False


def _name(pid: int) -> str:
    try:
        return psutil.Process(pid).name()
    except psutil.Error:
        return "unknown"
