"""A pynvml of one card whose readings a test writes down, with the errors of the real one."""

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


class NVMLError(Exception):
    """What the real library raises, a type of its own for each cause."""


def nvml_error(name: str, words: str = "") -> NVMLError:
    return type(f"NVMLError_{name}", (NVMLError,), {})(words or name)


H200: dict[str, Any] = {
    "clock": 1980, "memory_clock": 3201, "temperature": 41, "power": 512_340, "reasons": 0, "energy": 987_654_321,
    "compute": {4242: 18 * 2**30}, "graphics": {}, "free": 120 * 2**30,
}  # fmt: skip
"""As NVML gives them: MHz, °C, mW, bits, mJ, bytes by pid. An exception in place of a reading is raised; a list is
given one after the other, its last for ever."""


class FakeCard:
    """The readings of a card; `asked` counts how often each was asked for."""

    def __init__(self, **readings: Any) -> None:
        self.readings, self.asked = H200 | readings, dict.fromkeys(H200, 0)

    def read(self, name: str) -> Any:
        reading = self.readings[name]
        if isinstance(reading, list):
            reading = reading[min(self.asked[name], len(reading) - 1)]
        self.asked[name] += 1
        if isinstance(reading, Exception):
            raise reading
        return reading

    def processes(self, name: str) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=used) for pid, used in self.read(name).items()]


def install(monkeypatch: pytest.MonkeyPatch, card: FakeCard, sliced: bool = False) -> FakeCard:
    """Let `import pynvml` find this card; with `sliced` CUDA shows a MIG slice of it."""

    def whole(handle: Any) -> Any:
        if handle == "slice":
            return card
        raise nvml_error("InvalidArgument")

    fake = ModuleType("pynvml")
    fake.__dict__.update(
        NVMLError=NVMLError, NVML_CLOCK_SM=1, NVML_CLOCK_MEM=2, NVML_TEMPERATURE_GPU=0,
        nvmlInit=lambda: card.readings.get("init") and _raise(card.readings["init"]),
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda index: "slice" if sliced else card,
        nvmlDeviceGetDeviceHandleFromMigDeviceHandle=whole,
        nvmlDeviceGetMigMode=lambda handle: _raise(nvml_error("NotSupported")),
        nvmlDeviceGetClockInfo=lambda handle, kind: card.read("clock" if kind == 1 else "memory_clock"),
        nvmlDeviceGetTemperature=lambda handle, kind: card.read("temperature"),
        nvmlDeviceGetPowerUsage=lambda handle: card.read("power"),
        nvmlDeviceGetCurrentClocksEventReasons=lambda handle: card.read("reasons"),
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda handle: card.read("reasons"),
        nvmlDeviceGetTotalEnergyConsumption=lambda handle: card.read("energy"),
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(free=card.read("free"), total=141 * 2**30),
        nvmlDeviceGetComputeRunningProcesses=lambda handle: card.processes("compute"),
        nvmlDeviceGetGraphicsRunningProcesses=lambda handle: card.processes("graphics"),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return card


def _raise(error: Exception) -> None:
    raise error
