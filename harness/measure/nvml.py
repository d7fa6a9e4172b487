"""NVIDIA GPUs through NVML: visible cards, clocks, power, throttling, processes."""

import contextlib
import os
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from harness.core.timing import ForeignProcess
from harness.core.units import Absent

ADVICE = {
    "NVMLError_LibraryNotFound": "the library that comes with NVIDIA's driver (libnvidia-ml) is not there",
    "NVMLError_DriverNotLoaded": "NVIDIA's driver is not loaded",
    "NVMLError_NoPermission": "refused to this user; ask for it as root, or in a container with more rights",
    "NVMLError_NotSupported": "this card does not tell it",
    "NVMLError_FunctionNotFound": "this driver is too old to tell it",
    "NVMLError_GpuIsLost": "the card has fallen off the bus; restart the machine",
    "NVMLError_LibRmVersionMismatch": "library and driver are of different versions; restart after the update",
}
"""What NVML's errors mean to a reader, by the name of their type: their own words are terse."""


def visible_cards() -> Iterator[Any]:
    """Yield the handle of each card that CUDA shows to this process, in CUDA's order; raises what NVML raises.

    As CUDA does, it reads CUDA_VISIBLE_DEVICES up to the first entry that is no card (CUDA C++ Programming Guide,
    "CUDA Environment Variables"); an index counts cards in the order of the bus (see machine.count_by_bus).
    """
    import pynvml

    pynvml.nvmlInit()
    count = pynvml.nvmlDeviceGetCount()
    asked = os.environ.get("CUDA_VISIBLE_DEVICES")
    words = [str(index) for index in range(count)] if asked is None else asked.split(",")
    for word in words:
        handle = _card(word.strip(), count)
        if handle is None:
            return
        yield handle


def first_card() -> Any:
    """Return the handle of the card that torch calls "cuda"; LookupError where none is visible."""
    handle = next(visible_cards(), None)
    if handle is None:
        raise LookupError("CUDA_VISIBLE_DEVICES shows no card")
    return handle


def whole_card(handle: Any) -> Any:
    """Return the card that a MIG slice is part of, or the card itself."""
    import pynvml

    try:
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    except pynvml.NVMLError:
        return handle


def refused(error: Exception) -> Absent:
    """Return why NVML gave no figure; it raises error types of its own, also when it is imported."""
    return Absent(absent=f"NVML: {ADVICE.get(type(error).__name__, error)}")


def _card(word: str, count: int) -> Any | None:
    """Return the card of an index, of a UUID's beginning, or of a MIG slice's whole UUID; None where there is none."""
    import pynvml

    if word.isdecimal():
        return _or_first_slice(pynvml.nvmlDeviceGetHandleByIndex(int(word))) if int(word) < count else None
    if word.startswith("MIG-"):
        return pynvml.nvmlDeviceGetHandleByUUID(word)
    cards = (pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(count if word.startswith("GPU-") else 0))
    found = next((card for card in cards if _text(pynvml.nvmlDeviceGetUUID(card)).startswith(word)), None)
    return None if found is None else _or_first_slice(found)


def _or_first_slice(card: Any) -> Any:
    """Return the card, or of one that is cut into slices (MIG) the first, which is all that CUDA takes of it."""
    import pynvml

    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(card)
    except pynvml.NVMLError:  # a card that cannot be cut
        return card
    if current != pynvml.NVML_DEVICE_MIG_ENABLE:
        return card
    return pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, 0)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


NAMESPACE = Path("/proc/self/ns/pid")
WHOLE_MACHINE = "pid:[4026531836]"
"""The link of a process that counts pids as the whole machine does (Linux, PROC_PID_INIT_INO), as NVML may too."""


def foreign_processes(device: str, ours: Collection[int]) -> tuple[ForeignProcess, ...] | Absent:
    """Return the processes on the GPU whose pid is not among `ours`, lowest first.

    In a container NVML may list nobody, or everybody by pids of the machine outside, our own processes too. So where
    pids are the container's own, the list counts only if it names one of ours; else nothing is said.
    """
    if not device.startswith("cuda"):
        return Absent(absent="no GPU")
    try:
        return list_foreign_processes(first_card(), ours)
    except Exception as error:
        return refused(error)


def list_foreign_processes(card: Any, ours: Collection[int]) -> tuple[ForeignProcess, ...] | Absent:
    """Return the visitors of one card, by its NVML handle; raises what NVML raises."""
    used = used_by_process(card)
    if not used.keys() & set(ours) and not _pids_are_the_machines():
        listed = f"lists {len(used)} by other pids" if used else "lists none"
        return Absent(absent=f"a container has pids of its own: NVML {listed}, so others cannot be told from ours")
    foreign = sorted(used.keys() - set(ours))
    return tuple(ForeignProcess(pid=pid, name=_name(pid), used_bytes=used[pid]) for pid in foreign)


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


EVERY_S = 0.1
REASONS = {
    0x004: "sw_power_cap", 0x008: "hw_slowdown", 0x010: "sync_boost", 0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown", 0x080: "hw_power_brake", 0x100: "display_clock_setting",
}  # fmt: skip
"""NVML's clocks event reasons (nvml.h), without idle and the clocks that the user set: neither is a surprise."""
SLICE = Absent(absent="NVML: the GPU is a MIG slice, and the card's counter is of all its slices")

UNREAD = Absent(absent="not read")

Value = TypeVar("Value")


class GpuSample(NamedTuple):
    """One reading of the card."""

    clock_mhz: float | Absent
    memory_clock_mhz: float | Absent
    temperature_c: float | Absent
    power_w: float | Absent
    throttle: tuple[str, ...] | Absent
    foreign_processes: tuple[ForeignProcess, ...] | Absent


class GpuWatch:
    """Samples the card in a thread, every 0.1 s from `begin` to `end`.

    The first sample comes half an interval late, so that a card which was idle has taken up its work; a shorter block
    has one sample, right at its end.
    """

    def __init__(self, ours: Collection[int]) -> None:
        self._ours = ours
        self._samples: list[GpuSample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="harness-gpu-watch", daemon=True)
        try:
            self._card: Any = first_card()
        except Exception as error:
            self._card = refused(error)
        self._before: float | Absent = UNREAD
        self._after: float | Absent = UNREAD

    def begin(self) -> None:
        """Start to sample."""
        self._before = self._energy()
        if not isinstance(self._card, Absent):
            self._thread.start()

    def end(self) -> None:
        """Stop, and read the card a last time if that was all too quick."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._after = self._energy()
        if not self._samples:
            self._samples.append(sample_gpu(self._card, self._ours))

    def figures(self) -> dict[str, Any]:
        """Return the fields of Conditions that NVML knows: means, but the highest temperature, and all that slowed."""
        clocks, memory_clocks, temperatures, powers, reasons, seen = zip(*self._samples, strict=True)
        return {
            "clock_mhz": _together(clocks, _mean),
            "memory_clock_mhz": _together(memory_clocks, _mean),
            "temperature_c": _together(temperatures, max),
            "power_w": _together(powers, _mean),
            "throttle": _together(reasons, _union),
            "foreign_processes": _together(
                seen, lambda found: tuple({one.pid: one for some in found for one in some}.values())
            ),
            "energy_j": self._drawn(),
        }

    def _run(self) -> None:
        wait_s = EVERY_S / 2
        while not self._over.wait(wait_s):
            self._samples.append(sample_gpu(self._card, self._ours))
            wait_s = EVERY_S

    def _energy(self) -> float | Absent:
        return self._card if isinstance(self._card, Absent) else energy_j(self._card)

    def _drawn(self) -> float | Absent:
        if isinstance(self._before, Absent):
            return self._before
        return self._after if isinstance(self._after, Absent) else self._after - self._before


def sample_gpu(card: Any, ours: Collection[int]) -> GpuSample:
    """Return one reading; `card` is an NVML handle, or why there is none. What a slice lacks, its whole card tells."""
    if isinstance(card, Absent):
        return GpuSample(card, card, card, card, card, card)
    import pynvml

    whole = whole_card(card)
    return GpuSample(
        asked(lambda: float(pynvml.nvmlDeviceGetClockInfo(whole, pynvml.NVML_CLOCK_SM))),
        asked(lambda: float(pynvml.nvmlDeviceGetClockInfo(whole, pynvml.NVML_CLOCK_MEM))),
        asked(lambda: float(pynvml.nvmlDeviceGetTemperature(whole, pynvml.NVML_TEMPERATURE_GPU))),
        asked(lambda: pynvml.nvmlDeviceGetPowerUsage(whole) / 1e3) if whole == card else SLICE,
        asked(lambda: _reasons(whole)),
        asked(lambda: list_foreign_processes(card, ours)),
    )


def energy_j(card: Any) -> float | Absent:
    """Return the joules that the card has drawn since its driver was loaded (NVML's total energy counter, in mJ)."""
    import pynvml

    if whole_card(card) != card:
        return SLICE
    return asked(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3)


def asked(read: Callable[[], Value]) -> Value | Absent:
    """Return a reading or why it is absent: one counter may be refused while others are readable."""
    try:
        return read()
    except Exception as error:
        return refused(error)


def _reasons(card: Any) -> tuple[str, ...]:
    import pynvml

    try:
        bits = pynvml.nvmlDeviceGetCurrentClocksEventReasons(card)
    except pynvml.NVMLError:  # drivers before 535 know it by its older name
        bits = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)
    return tuple(word for bit, word in REASONS.items() if bits & bit)


def _together(readings: tuple[Any, ...], join: Callable[[list[Any]], Any]) -> Any:
    """Join the readings that are there; where there is none, the first tells why."""
    known = [reading for reading in readings if not isinstance(reading, Absent)]
    return join(known) if known else readings[0]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _union(found: list[tuple[str, ...]]) -> tuple[str, ...]:
    seen = {word for words in found for word in words}
    return tuple(word for word in REASONS.values() if word in seen)
