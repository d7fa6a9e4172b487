"""State of the machine while a block is timed: GPU, processors, energy, other load."""

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import psutil

from harness.core.timing import UNKNOWN, Conditions
from harness.core.units import Absent
from harness.measure.nvml import GpuWatch

NO_GPU = Absent(absent="no GPU")
CPUS = Path("/sys/devices/system/cpu")
POWERCAP = Path("/sys/class/powercap")


class ConditionsWatch:
    """The conditions of a block, once it has ended."""

    conditions: Conditions = UNKNOWN


@contextmanager
def watch_conditions(device: str, ours: Collection[int]) -> Iterator[ConditionsWatch]:
    """Record the machine's state during the block; `ours` are the pids of our own processes.

    A GPU is sampled every 0.1 s: clocks and power are means of the samples (the power of drivers
    before 530 is itself a mean over one second), the temperature is the highest, throttle reasons
    and foreign processes are those of any sample. Processors are read only before and after: a
    sampler would use the time it measures. Energy is the difference of a counter, of the card or,
    without a GPU, of the processors.
    """
    watch = ConditionsWatch()
    gpu = GpuWatch(ours) if device.startswith("cuda") else None
    rapl = None if gpu else Rapl()
    cpu = CpuWatch(ours)
    if gpu:
        gpu.begin()
    try:
        yield watch
    finally:
        processors = cpu.figures()
        if gpu:
            gpu.end()
    seen = {**dict.fromkeys(Conditions.model_fields, NO_GPU), **processors._asdict()}
    if gpu:
        seen |= gpu.figures()
    if rapl:
        seen["energy_j"] = rapl.drawn()
    watch.conditions = Conditions.model_validate(seen)


class CpuFigures(NamedTuple):
    """The fields of Conditions about processors."""

    cpu_mhz: float | Absent
    cpu_load: float | Absent
    cpu_throttled: int | Absent


class CpuWatch:
    """Reads Linux's counters of the usable cores now, and their change in `figures()`."""

    def __init__(self, ours: Collection[int], cpus: Path = CPUS) -> None:
        self._ours, self._folder = ours, cpus
        self._throttled = self._throttle_counts()
        self._spent = _spent_s(ours)
        self._busy_s, self._total_s = _busy_and_total_s()

    def figures(self) -> CpuFigures:
        """Return the figures; call it right after the block, since an idle core slows down."""
        return CpuFigures(self._mhz(), self._load(), self._slowed())

    def _mhz(self) -> float | Absent:
        """The clock of the fastest core: others may be idle."""
        files = (core / "cpufreq/scaling_cur_freq" for core in self._cores())
        clocks_khz = [khz for file in files if (khz := _number(file)) is not None]
        if not clocks_khz:
            return Absent(absent="no cpufreq: a virtual machine does not show its clock")
        return max(clocks_khz) / 1e3

    def _load(self) -> float | Absent:
        """Share of the cores' time that other processes or guests used."""
        busy_s, total_s = _busy_and_total_s()
        passed_s = total_s - self._total_s
        if passed_s <= 0:
            why = "this system does not count processor time, or the block was too short"
            return Absent(absent=why)
        after = _spent_s(self._ours)
        ours_s = sum(after[pid] - self._spent[pid] for pid in after.keys() & self._spent.keys())
        return min(max((busy_s - self._busy_s - ours_s) / passed_s, 0.0), 1.0)

    def _slowed(self) -> int | Absent:
        """How often the most throttled core was slowed down, itself or with its package."""
        after = self._throttle_counts()
        if not after or not self._throttled:
            why = "no thermal_throttle counters: not an Intel processor, or a virtual machine"
            return Absent(absent=why)
        return max(count - self._throttled.get(core, count) for core, count in after.items())

    def _throttle_counts(self) -> dict[Path, int]:
        found = {}
        for core in self._cores():
            files = (f"thermal_throttle/{kind}_throttle_count" for kind in ("core", "package"))
            counts = [count for file in files if (count := _number(core / file)) is not None]
            if counts:
                found[core] = sum(counts)
        return found

    def _cores(self) -> list[Path]:
        return [self._folder / f"cpu{number}" for number in _allowed()]


def _allowed() -> list[int]:
    """Return the numbers of the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _busy_and_total_s() -> tuple[float, float]:
    """Return busy and total seconds of those cores since boot."""
    cores = psutil.cpu_times(percpu=True)
    busy_s = total_s = 0.0
    for core in (cores[number] for number in _allowed() if number < len(cores)):
        guests_s = getattr(core, "guest", 0.0) + getattr(core, "guest_nice", 0.0)
        own_s = sum(core) - guests_s  # user and nice include guests
        total_s += own_s
        busy_s += own_s - core.idle - getattr(core, "iowait", 0.0)
    return busy_s, total_s


def _spent_s(pids: Collection[int]) -> dict[int, float]:
    """Return pid → processor seconds of each process that exists."""
    found = {}
    for pid in pids:
        try:
            times = psutil.Process(pid).cpu_times()
        except psutil.Error:
            continue
        found[pid] = times.user + times.system
    return found


def _read(path: Path) -> int:
    return int(path.read_text(encoding="utf-8"))


def _number(path: Path) -> int | None:
    try:
        return _read(path)
    except (OSError, ValueError):
        return None


class Rapl:
    """Energy counters of the processor packages (RAPL of Intel and AMD, through Linux's powercap).

    Only whole packages are read (Linux, Documentation/power/powercap): they include their parts.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._before = self._read()

    def drawn(self) -> float | Absent:
        """Return the joules drawn by all packages since this object was made."""
        after = self._read()
        if isinstance(self._before, Absent):
            return self._before
        if isinstance(after, Absent):
            return after
        if after.keys() != self._before.keys():
            return Absent(absent="RAPL: other packages than before")
        drawn_uj = 0
        for package, (begin_uj, range_uj) in self._before.items():
            now_uj = after[package][0]
            drawn_uj += now_uj - begin_uj + (range_uj if now_uj < begin_uj else 0)  # wraps around
        return drawn_uj / 1e6

    def _read(self) -> dict[Path, tuple[int, int]] | Absent:
        """Return package → its counter in microjoules, and the counter's range."""
        packages = [zone for zone in sorted(self._powercap.glob("*-rapl:*")) if _is_package(zone)]
        if not packages:
            return Absent(absent="no RAPL counter: a virtual machine, or a processor without one")
        try:
            return {p: (_read(p / "energy_uj"), _read(p / "max_energy_range_uj")) for p in packages}
        except PermissionError:  # since CVE-2020-8694, a side channel
            return Absent(absent="RAPL: only root may read /sys/class/powercap/*/energy_uj")
        except (OSError, ValueError) as error:
            return Absent(absent=f"RAPL: {error}")


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text(encoding="utf-8").startswith("package")
    except OSError:
        return False
