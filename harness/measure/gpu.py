"""What NVML tells of the GPU: clocks, temperature, power, why it is slow, energy, who else is there."""

import threading
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeVar

from harness.core.timing import Visitor
from harness.core.units import Absent
from harness.measure._cards import first_card, refused, whole_card
from harness.measure.visitors import visitors_of

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
    visitors: tuple[Visitor, ...] | Absent


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
            "visitors": _together(seen, lambda found: tuple({one.pid: one for some in found for one in some}.values())),
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
        asked(lambda: visitors_of(card, ours)),
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
