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


class ConditionsWatch:
    """Holds the conditions of a block once it has ended."""

    conditions: Conditions = UNKNOWN


@contextmanager
def watching(device: str, ours: Collection[int]) -> Iterator[ConditionsWatch]:
    """Note the machine's state while the block inside runs; `ours` are the pids of our own processes, no visitors.

    A GPU is sampled every 0.1 s: clocks and power are means of the samples (the driver's power is itself a mean of up
    to the last second), temperature is the highest, `throttle` and `foreign_processes` whatever any sample saw.
    Processors are read before and after only. Energy is the difference of a counter: the card's on a GPU, the
    processors' without one.
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


POWERCAP = Path("/sys/class/powercap")


class _Counter(NamedTuple):
    """What a package has drawn, in microjoules, and what it counts up to."""

    uj: int
    range_uj: int


class Rapl:
    """The packages' energy counters: `drawn()` is what they counted since it was made.

    Only whole packages are read (Linux, Documentation/power/powercap): their parts count again what is in them.
    """

    def __init__(self, powercap: Path = POWERCAP) -> None:
        self._powercap = powercap
        self._before = self._read()

    def drawn(self) -> float | Absent:
        """Return joules of all packages; the counters begin again at zero when they are full."""
        after = self._read()
        if isinstance(self._before, Absent):
            return self._before
        if isinstance(after, Absent):
            return after
        if after.keys() != self._before.keys():
            return Absent(absent="RAPL: other packages than before")
        counts = ((after[package], begin) for package, begin in self._before.items())
        return sum(now.uj - begin.uj + (begin.range_uj if now.uj < begin.uj else 0) for now, begin in counts) / 1e6

    def _read(self) -> dict[Path, _Counter] | Absent:
        packages = [zone for zone in sorted(self._powercap.glob("*-rapl:*")) if _is_package(zone)]
        if not packages:
            return Absent(absent="no RAPL counter: a virtual machine, or a processor without one")
        try:
            return {
                package: _Counter(
                    *(
                        int((package / name).read_text(encoding="utf-8"))
                        for name in ("energy_uj", "max_energy_range_uj")
                    )
                )
                for package in packages
            }
        except PermissionError:  # since CVE-2020-8694: it lets a program guess what another computes
            return Absent(absent="RAPL: only root may read /sys/class/powercap/*/energy_uj")
        except (OSError, ValueError) as error:
            return Absent(absent=f"RAPL: {error}")


def _is_package(zone: Path) -> bool:
    try:
        return (zone / "name").read_text(encoding="utf-8").startswith("package")
    except OSError:
        return False
