"""What this machine can tell while cells are timed, and why not the rest; asked without torch."""

import os
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from harness.core.units import Absent, format_bytes, format_percent
from harness.measure._cards import first_card, refused
from harness.measure.conditions import watching
from harness.measure.gpu import energy_j, sample_gpu
from harness.measure.memory import reset_resident_peak
from harness.measure.profiler import DRIVER

PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
TICKS_S = 0.05
"""Long enough for a processor's time to be counted in a few of its ticks (10 ms)."""


class Ability(NamedTuple):
    """Something that a machine may tell: an example of what it says now, or why it does not."""

    what: str
    found: str | Absent


def abilities() -> tuple[Ability, ...]:
    """Return everything that results can hold of a machine's state, in the order in which a report shows it."""
    with watching("cpu", [os.getpid()]) as watch:
        time.sleep(TICKS_S)
    seen = watch.conditions
    return (
        *_card_abilities(),
        Ability("energy of the processors (RAPL)", _with_unit(seen.energy_j, " J in 50 ms")),
        Ability("clock of the processors (cpufreq)", _with_unit(seen.cpu_mhz, " MHz")),
        Ability("processors slowed for heat (thermal_throttle)", _with_unit(seen.cpu_throttled, " times in 50 ms")),
        Ability("load by other programs (/proc/stat)", _load(seen.cpu_load)),
        Ability("peak of resident memory (VmHWM)", _peak()),
        Ability("counters of the processors (perf)", _perf()),
        Ability("kernels of the GPU in traces (CUPTI)", _cupti()),
        Ability("Nsight Systems (nsys)", shutil.which("nsys") or Absent(absent="not on PATH")),
    )


def _card_abilities() -> list[Ability]:
    """What NVML tells of the card that torch calls "cuda"."""
    try:
        card: Any = first_card()
    except Exception as error:
        return [Ability("the GPU's counters (NVML)", refused(error))]
    sample = sample_gpu(card, ())
    return [
        Ability("clock of the GPU (NVML)", _with_unit(sample.clock_mhz, " MHz")),
        Ability("clock of the GPU's memory (NVML)", _with_unit(sample.memory_clock_mhz, " MHz")),
        Ability("temperature of the GPU (NVML)", _with_unit(sample.temperature_c, " °C")),
        Ability("power of the GPU (NVML)", _with_unit(sample.power_w, " W")),
        Ability("energy of the GPU (NVML)", _with_unit(energy_j(card), " J since its driver was loaded")),
        Ability("why the GPU is slowed (NVML)", _listed(sample.throttle, "not slowed now")),
        Ability("processes on the GPU (NVML)", _listed(sample.visitors, "none now")),
    ]


def _with_unit(reading: float | Absent, unit: str) -> str | Absent:
    return reading if isinstance(reading, Absent) else f"{reading:.4g}{unit}"


def _load(share: float | Absent) -> str | Absent:
    return share if isinstance(share, Absent) else f"{format_percent(share, 0)} of the cores' time just now"


def _listed(reading: tuple[Any, ...] | Absent, nothing: str) -> str | Absent:
    if isinstance(reading, Absent):
        return reading
    return ", ".join(str(getattr(one, "name", one)) for one in reading) or nothing


def _peak() -> str | Absent:
    peak = reset_resident_peak()
    return peak if isinstance(peak, Absent) else f"can be reset; {format_bytes(peak)} now"


def _perf() -> str | Absent:
    """Linux, Documentation/admin-guide/sysctl/kernel.rst: above 2, users may not ask even of their own programs."""
    try:
        level = int(PARANOID.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Absent(absent="this kernel has no perf")
    words = f"perf_event_paranoid is {level}"
    if level > 2 and os.geteuid() != 0:
        return Absent(absent=f"{words}: denied to this user (sudo sysctl kernel.perf_event_paranoid=2)")
    return words


def _cupti() -> str | Absent:
    try:
        first_card()
    except Exception:
        return Absent(absent="no GPU")
    if DRIVER.exists() and "RmProfilingAdminOnly: 1" in DRIVER.read_text(encoding="utf-8") and os.geteuid() != 0:
        return Absent(absent="for administrators only: set NVreg_RestrictProfilingToAdminUsers=0 for the nvidia module")
    return "the driver does not refuse them"
