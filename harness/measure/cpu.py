"""What Linux tells of the processors while a block runs: clock, load by others, slowing for heat.

It is read only before and after: on a CPU a sampler would take the time that it watches.
"""

import os
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import psutil

from harness.core.units import Absent

CPUS = Path("/sys/devices/system/cpu")


class CpuFigures(NamedTuple):
    """The fields of Conditions that tell of processors."""

    cpu_mhz: float | Absent
    cpu_load: float | Absent
    cpu_throttled: int | Absent


class CpuWatch:
    """Reads the counters when it is made; `figures()` tells what happened since, on the cores we may use."""

    def __init__(self, ours: Collection[int], cpus: Path = CPUS) -> None:
        self._ours, self._folder = ours, cpus
        self._throttled = self._throttle_counts()
        self._spent = _spent_s(ours)
        self._busy_s, self._total_s = _busy_and_total_s()

    def figures(self) -> CpuFigures:
        """Return the figures; call it as soon as the block is over, since an idle core slows down."""
        return CpuFigures(self._mhz(), self._load(), self._slowed())

    def _mhz(self) -> float | Absent:
        """Of the fastest core: the others may have nothing to do."""
        found = [_number(core / "cpufreq/scaling_cur_freq") for core in self._cores()]
        clocks_khz = [khz for khz in found if khz is not None]
        if not clocks_khz:
            return Absent(absent="no cpufreq: a virtual machine does not show its clock")
        return max(clocks_khz) / 1e3

    def _load(self) -> float | Absent:
        """The share of the cores' time in which they worked, but for none of ours; time stolen by other guests too."""
        busy_s, total_s = _busy_and_total_s()
        passed_s = total_s - self._total_s
        if passed_s <= 0:
            return Absent(absent="this system does not count its processors' time, or the block was too short")
        after = _spent_s(self._ours)
        ours_s = sum(after[pid] - self._spent[pid] for pid in after.keys() & self._spent.keys())
        return min(max((busy_s - self._busy_s - ours_s) / passed_s, 0.0), 1.0)

    def _slowed(self) -> int | Absent:
        """How often the core that was slowed most was slowed, itself or with its package."""
        after = self._throttle_counts()
        if not after or not self._throttled:
            return Absent(absent="no thermal_throttle counters: not an Intel processor, or a virtual machine")
        return max(count - self._throttled.get(core, count) for core, count in after.items())

    def _throttle_counts(self) -> dict[Path, int]:
        found = {}
        for core in self._cores():
            kinds = [_number(core / f"thermal_throttle/{kind}_throttle_count") for kind in ("core", "package")]
            counts = [count for count in kinds if count is not None]
            if counts:
                found[core] = sum(counts)
        return found

    def _cores(self) -> list[Path]:
        return [self._folder / f"cpu{number}" for number in _allowed()]


def _allowed() -> list[int]:
    """The numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _busy_and_total_s() -> tuple[float, float]:
    """Seconds since the start in which those cores worked, and all seconds (guests are counted in user and nice)."""
    cores = psutil.cpu_times(percpu=True)
    times = [cores[number] for number in _allowed() if number < len(cores)]
    total = sum(sum(core) - getattr(core, "guest", 0.0) - getattr(core, "guest_nice", 0.0) for core in times)
    return total - sum(core.idle + getattr(core, "iowait", 0.0) for core in times), total


def _spent_s(pids: Collection[int]) -> dict[int, float]:
    """Processor seconds of each process that is there."""
    found = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        found[pid] = times.user + times.system
    return found


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
