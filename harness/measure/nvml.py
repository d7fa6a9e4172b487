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
    "NVMLError_LibraryNotFound": "the driver's library libnvidia-ml is missing",
    "NVMLError_DriverNotLoaded": "NVIDIA's driver is not loaded",
    "NVMLError_NoPermission": "not permitted for this user; run as root or with more capabilities",
    "NVMLError_NotSupported": "not supported by this card",
    "NVMLError_FunctionNotFound": "not supported by this driver, which is too old",
    "NVMLError_GpuIsLost": "the card has fallen off the bus; restart the machine",
    "NVMLError_LibRmVersionMismatch": "library and driver versions differ; restart after an update",
}
"""Plain explanations of NVML's errors, by the name of their type."""
NAMESPACE = Path("/proc/self/ns/pid")
WHOLE_MACHINE = "pid:[4026531836]"
"""The pid namespace of the host (Linux, PROC_PID_INIT_INO), whose pids NVML may report."""
EVERY_S = 0.1
REASONS = {
    0x004: "sw_power_cap", 0x008: "hw_slowdown", 0x010: "sync_boost", 0x020: "sw_thermal_slowdown",
    0x040: "hw_thermal_slowdown", 0x080: "hw_power_brake", 0x100: "display_clock_setting",
}  # fmt: skip
"""NVML's clocks event reasons (nvml.h), without idle and clocks set by the user."""
SLICE = Absent(absent="NVML: the GPU is a MIG slice, and the card's counter covers all slices")
UNREAD = Absent(absent="not read")

Value = TypeVar("Value")


def list_cards() -> Iterator[Any]:
    """Yield the handles of the cards that CUDA shows to this process; may raise NVMLError.

    Like CUDA, it reads CUDA_VISIBLE_DEVICES up to the first invalid entry (CUDA C++ Programming
    Guide, "CUDA Environment Variables"); an index counts cards in bus order (see
    machine.count_by_bus).
    """
    import pynvml

    pynvml.nvmlInit()
    count = pynvml.nvmlDeviceGetCount()
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    words = [str(index) for index in range(count)] if visible is None else visible.split(",")
    for word in words:
        handle = _find_card(word.strip(), count)
        if handle is None:
            return
        yield handle


def find_first_card() -> Any:
    """Return the handle of the card that torch calls "cuda"; LookupError if none is visible."""
    handle = next(list_cards(), None)
    if handle is None:
        raise LookupError("CUDA_VISIBLE_DEVICES shows no card")
    return handle


def find_whole_card(handle: Any) -> Any:
    """Return the card of a MIG slice, or the card itself."""
    import pynvml

    try:
        return pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
    except pynvml.NVMLError:
        return handle


def explain_refusal(error: Exception) -> Absent:
    """Return why NVML gave no value; its errors have many types, even at import."""
    return Absent(absent=f"NVML: {ADVICE.get(type(error).__name__, error)}")


def read_text(value: str | bytes) -> str:
    """Return a string of NVML, which old bindings return as bytes."""
    return value.decode() if isinstance(value, bytes) else value


def _find_card(word: str, count: int) -> Any | None:
    """Return the card of an index, of a UUID's beginning, or of a MIG slice's UUID, or None."""
    import pynvml

    if word.startswith("MIG-"):
        return pynvml.nvmlDeviceGetHandleByUUID(word)
    by_index = pynvml.nvmlDeviceGetHandleByIndex
    found = None
    if word.isdecimal():
        found = by_index(int(word)) if int(word) < count else None
    elif word.startswith("GPU-"):
        cards = (by_index(index) for index in range(count))
        matching = (c for c in cards if read_text(pynvml.nvmlDeviceGetUUID(c)).startswith(word))
        found = next(matching, None)
    return None if found is None else _or_first_slice(found)


def _or_first_slice(card: Any) -> Any:
    """Return the card, or its first MIG slice: CUDA uses no other slice of it."""
    import pynvml

    try:
        current, _ = pynvml.nvmlDeviceGetMigMode(card)
    except pynvml.NVMLError:  # a card without MIG
        return card
    if current != pynvml.NVML_DEVICE_MIG_ENABLE:
        return card
    return pynvml.nvmlDeviceGetMigDeviceHandleByIndex(card, 0)


def find_foreign_processes(
    device: str, ours: Collection[int]
) -> tuple[ForeignProcess, ...] | Absent:
    """Return the processes on the GPU whose pid is not among `ours`, sorted by pid.

    In a container NVML may list no process, or all processes, ours included, by pids of the host.
    So in a container the list is used only if it names one of ours.
    """
    if not device.startswith("cuda"):
        return Absent(absent="no GPU")
    return try_read(lambda: list_foreign_processes(find_first_card(), ours))


def list_foreign_processes(card: Any, ours: Collection[int]) -> tuple[ForeignProcess, ...] | Absent:
    """Return the foreign processes of one card, by its NVML handle; may raise NVMLError."""
    computing, used = _list_processes(card)
    if not used.keys() & set(ours) and not _has_host_pids():
        listed = f"lists {len(used)} by other pids" if used else "lists none"
        why = f"this container has its own pids: NVML {listed}, so foreign processes are unknown"
        return Absent(absent=why)
    return tuple(
        ForeignProcess(
            pid=pid, name=_name(pid), used_bytes=used[pid], graphics_only=pid not in computing
        )
        for pid in sorted(used.keys() - set(ours))
    )


def read_used_bytes(card: Any) -> dict[int, int | Absent]:
    """Return pid → bytes of the card's memory that the process uses; may raise NVMLError."""
    return _list_processes(card)[1]


def _list_processes(card: Any) -> tuple[set[int], dict[int, int | Absent]]:
    """Return the pids that compute, and the bytes of all processes, also those that only draw."""
    import pynvml

    computing = pynvml.nvmlDeviceGetComputeRunningProcesses(card)
    listed = list(computing)
    with contextlib.suppress(pynvml.NVMLError):  # cards without a display, and slices
        listed += pynvml.nvmlDeviceGetGraphicsRunningProcesses(card)
    unknown = Absent(absent="NVML: not reported by this driver")
    used = {int(p.pid): p.usedGpuMemory for p in listed}  # both lists have a process's whole memory
    sizes = {pid: unknown if count is None else int(count) for pid, count in used.items()}
    return {int(process.pid) for process in computing}, sizes


def _has_host_pids() -> bool:
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

    The first sample comes half an interval late, so that an idle card has started to work; a
    shorter block has one sample, at its end.
    """

    def __init__(self, ours: Collection[int]) -> None:
        self._ours = ours
        self._samples: list[GpuSample] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="harness-gpu-watch", daemon=True)
        self._card: Any = try_read(find_first_card)
        self._before: float | Absent = UNREAD
        self._after: float | Absent = UNREAD

    def begin(self) -> None:
        """Start to sample."""
        self._before = self._energy()
        if not isinstance(self._card, Absent):
            self._thread.start()

    def end(self) -> None:
        """Stop; a block without a sample gets one now."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()
        self._after = self._energy()
        if not self._samples:
            self._samples.append(sample_gpu(self._card, self._ours))

    def figures(self) -> dict[str, Any]:
        """Return the GPU's fields of Conditions: means, highest temperature, all reasons."""
        clocks, memory_clocks, temperatures, powers, reasons, seen = zip(
            *self._samples, strict=True
        )
        return {
            "clock_mhz": _together(clocks, _mean),
            "memory_clock_mhz": _together(memory_clocks, _mean),
            "temperature_c": _together(temperatures, max),
            "power_w": _together(powers, _mean),
            "throttle": _together(reasons, _union),
            "foreign_processes": _together(seen, _distinct),
            "energy_j": self._drawn(),
        }

    def _run(self) -> None:
        wait_s = EVERY_S / 2
        while not self._over.wait(wait_s):
            self._samples.append(sample_gpu(self._card, self._ours))
            wait_s = EVERY_S

    def _energy(self) -> float | Absent:
        return self._card if isinstance(self._card, Absent) else read_energy_j(self._card)

    def _drawn(self) -> float | Absent:
        if isinstance(self._before, Absent):
            return self._before
        return self._after if isinstance(self._after, Absent) else self._after - self._before


def sample_gpu(card: Any, ours: Collection[int]) -> GpuSample:
    """Return one reading; `card` is an NVML handle, or why there is none.

    What NVML does not report for a slice is read from its whole card.
    """
    if isinstance(card, Absent):
        return GpuSample(card, card, card, card, card, card)
    import pynvml

    whole, sensor = find_whole_card(card), pynvml.NVML_TEMPERATURE_GPU
    return GpuSample(
        try_read(lambda: float(pynvml.nvmlDeviceGetClockInfo(whole, pynvml.NVML_CLOCK_SM))),
        try_read(lambda: float(pynvml.nvmlDeviceGetClockInfo(whole, pynvml.NVML_CLOCK_MEM))),
        try_read(lambda: float(pynvml.nvmlDeviceGetTemperature(whole, sensor))),
        try_read(lambda: read_power_w(whole)) if whole == card else SLICE,
        try_read(lambda: _reasons(whole)),
        try_read(lambda: list_foreign_processes(card, ours)),
    )


def read_power_w(card: Any) -> float:
    """Return the card's power now, or its mean over a second where the driver knows no other.

    May raise NVMLError.
    """
    import pynvml

    with contextlib.suppress(AttributeError, pynvml.NVMLError):  # drivers before 530
        (field,) = pynvml.nvmlDeviceGetFieldValues(card, [pynvml.NVML_FI_DEV_POWER_INSTANT])
        if field.nvmlReturn == pynvml.NVML_SUCCESS:
            return float(field.value.uiVal / 1e3)
    return float(pynvml.nvmlDeviceGetPowerUsage(card) / 1e3)


def read_energy_j(card: Any) -> float | Absent:
    """Return the joules drawn since the driver was loaded (NVML's total energy counter, in mJ)."""
    import pynvml

    if find_whole_card(card) != card:
        return SLICE
    return try_read(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(card) / 1e3)


def try_read(read: Callable[[], Value]) -> Value | Absent:
    """Return a reading, or why NVML refuses it: each counter may be refused alone."""
    try:
        return read()
    except Exception as error:
        return explain_refusal(error)


def _reasons(card: Any) -> tuple[str, ...]:
    import pynvml

    try:
        bits = pynvml.nvmlDeviceGetCurrentClocksEventReasons(card)
    except pynvml.NVMLError:  # the older name, of drivers before 535
        bits = pynvml.nvmlDeviceGetCurrentClocksThrottleReasons(card)
    return tuple(word for bit, word in REASONS.items() if bits & bit)


def _together(readings: tuple[Any, ...], join: Callable[[list[Any]], Any]) -> Any:
    """Join the known readings; without any, return the reason of the first."""
    known = [reading for reading in readings if not isinstance(reading, Absent)]
    return join(known) if known else readings[0]


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _union(found: list[tuple[str, ...]]) -> tuple[str, ...]:
    seen = {word for words in found for word in words}
    return tuple(word for word in REASONS.values() if word in seen)


def _distinct(found: list[tuple[ForeignProcess, ...]]) -> tuple[ForeignProcess, ...]:
    return tuple({one.pid: one for some in found for one in some}.values())
