"""Energy, clock and temperature of the GPU, through NVML; absent with a reason where there is none."""

from typing import Any, NamedTuple

from harness.core.units import Absent
from harness.measure._cards import first_card


class GpuState(NamedTuple):
    """One reading of the card."""

    energy_j: float | Absent
    clock_mhz: float | Absent
    temperature_c: float | Absent


def read_gpu(device: str) -> GpuState:
    """Return the card's total energy counter, its clock and its temperature."""
    if not device.startswith("cuda"):
        absent = Absent(absent="no GPU")
        return GpuState(absent, absent, absent)
    try:
        import pynvml

        handle = first_card()
    except Exception as error:  # NVML raises its own error types, also at import
        absent = Absent(absent=f"NVML: {error}")
        return GpuState(absent, absent, absent)
    return GpuState(
        _reading(lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3),
        _reading(lambda: pynvml.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM)),
        _reading(lambda: pynvml.nvmlDeviceGetTemperature(handle, pynvml.NVML_TEMPERATURE_GPU)),
    )


def energy_between(before: GpuState, after: GpuState) -> float | Absent:
    """Return the joules between two readings."""
    if isinstance(before.energy_j, Absent):
        return before.energy_j
    return after.energy_j if isinstance(after.energy_j, Absent) else after.energy_j - before.energy_j


def _reading(read: Any) -> float | Absent:
    try:
        return float(read())
    except Exception as error:  # one counter may be refused while others are readable
        return Absent(absent=f"NVML: {error}")
