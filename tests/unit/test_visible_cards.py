"""NVML counts all cards of a machine, torch those of CUDA_VISIBLE_DEVICES: both must mean the same one."""

import os
import sys
from types import ModuleType, SimpleNamespace

import pytest

from harness.core.units import Absent
from harness.execution.launchers import InlineLauncher, ProcessLauncher
from harness.measure.conditions import watch_conditions
from harness.measure.machine import describe_machine
from harness.measure.memory import read_free_bytes
from harness.measure.nvml import find_first_card, read_energy_j

UUIDS = ("GPU-aaaa-1", "GPU-bbbb-2", "GPU-cccc-3")
SLICE = "MIG-dddd-4"


class NVMLError(Exception):
    """What the real library raises."""


def whole(handle: int) -> int:
    if handle < len(UUIDS):
        raise NVMLError("not a slice")
    return 1


def uncut(handle: int) -> list[int]:
    raise NVMLError("this card cannot be cut")


@pytest.fixture(autouse=True)
def nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three cards and a slice of the second; a handle is a number, and so is all that is read from it."""
    fake = ModuleType("pynvml")
    facts = {
        "NVMLError": NVMLError,
        "NVML_CLOCK_SM": 1,
        "NVML_TEMPERATURE_GPU": 0,
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: len(UUIDS),
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetHandleByUUID": {SLICE: len(UUIDS)}.__getitem__,
        "NVML_DEVICE_MIG_ENABLE": 1,
        "nvmlDeviceGetMigMode": uncut,
        "nvmlDeviceGetUUID": UUIDS.__getitem__,
        "nvmlDeviceGetDeviceHandleFromMigDeviceHandle": whole,
        "nvmlDeviceGetTotalEnergyConsumption": lambda handle: handle * 1e3,
        "nvmlDeviceGetClockInfo": lambda handle, _: handle,
        "nvmlDeviceGetTemperature": lambda handle, _: handle,
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(free=handle, total=handle),
        "nvmlDeviceGetName": lambda handle: f"card {handle}",
        "nvmlDeviceGetCudaComputeCapability": lambda handle: (9, handle),
        "nvmlDeviceGetPowerManagementLimit": lambda handle: handle,
        "nvmlSystemGetCudaDriverVersion": lambda: 13000,
        "nvmlSystemGetDriverVersion": lambda: b"580",
    }
    fake.__dict__.update(facts)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("asked", "seen"),
    [(None, [0, 1, 2]), ("2", [2]), ("2,0", [2, 0]), (" 1 , 2", [1, 2]), ("GPU-bbbb-2", [1]), ("GPU-cc,0", [2, 0]),
     ("1,-1,2", [1]), ("1,7,2", [1]), ("GPU-none", []), ("", []), ("-1", []), ("NoDevFiles", [])],
)  # fmt: skip
def test_machine_lists_the_gpus_torch_sees(asked: str | None, seen: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    if asked is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", asked)
    machine = describe_machine()
    assert [gpu.memory_bytes for gpu in machine.gpus] == seen
    assert machine.device == ("cuda" if seen else "cpu")


def test_readings_are_of_the_first_visible_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (read_free_bytes("cuda"), read_energy_j(find_first_card())) == (0, 0)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,1")
    assert (read_free_bytes("cuda"), read_energy_j(find_first_card())) == (2, 2)


@pytest.mark.parametrize("launcher", [InlineLauncher, ProcessLauncher])
def test_cuda_order_is_that_of_nvml_by_default(
    launcher: type[InlineLauncher | ProcessLauncher], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_DEVICE_ORDER", "FASTEST_FIRST")
    launcher()
    assert os.environ["CUDA_DEVICE_ORDER"] == "FASTEST_FIRST"
    monkeypatch.delenv("CUDA_DEVICE_ORDER")
    launcher()
    assert os.environ["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_no_visible_card_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert read_free_bytes("cuda") is None
    with watch_conditions("cuda", ()) as watch:
        pass
    assert watch.conditions.energy_j == Absent(absent="NVML: CUDA_VISIBLE_DEVICES shows no card")


def test_mig_slice_has_its_memory_and_gpu_capability(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", SLICE)
    (gpu,) = describe_machine().gpus
    assert (gpu.memory_bytes, gpu.capability) == (len(UUIDS), (9, 1))


def test_first_mig_slice_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    nvml = sys.modules["pynvml"]
    monkeypatch.setattr(nvml, "nvmlDeviceGetMigMode", lambda card: [int(card == 1), 1])
    monkeypatch.setattr(nvml, "nvmlDeviceGetMigDeviceHandleByIndex", lambda card, slot: len(UUIDS), raising=False)
    assert read_free_bytes("cuda") == 0, "switched on with the next start only"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert read_free_bytes("cuda") == len(UUIDS)
