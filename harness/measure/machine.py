"""Describe this computer and what can be measured on it, without importing torch."""

import os
import platform
import re
import shutil
import socket
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from harness.core.machine import Gpu, Machine
from harness.core.units import Absent, format_bytes, format_percent
from harness.measure import nvml
from harness.measure.conditions import watch_conditions
from harness.measure.profiler import are_counters_denied
from harness.process_memory import reset_resident_peak

PACKAGES = (
    "diffusion-harness", "torch", "torchvision", "diffusers", "transformers", "accelerate", "peft",
    "numpy", "scipy", "open_clip_torch", "lpips", "torchmetrics", "optimum-quanto", "torchao",
    "bitsandbytes", "onnx", "onnxscript", "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt",
    "tensorrt_rtx", "triton", "xformers", "sageattention",
)  # fmt: skip
PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")
TICKS_S = 0.05
"""Long enough for a few ticks of the processor time counters (10 ms)."""


def describe_machine() -> Machine:
    """Return what influences measurements on this computer: cards, processor, memory, versions."""
    commit, dirty = _git_state()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return Machine(
        name=re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-").lower() or "machine",
        gpus=() if _is_cpu_torch() else _gpus(),
        cpu=_cpu_model(),
        cpu_cores=usable or 1,
        memory_bytes=psutil.virtual_memory().total,
        os=platform.platform(),
        python=platform.python_version(),
        packages=_versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


def lock_packages() -> str:
    """Return every installed package as `name==version`, one per line, sorted."""
    found = {d.metadata["Name"].lower(): d.version for d in metadata.distributions()}
    return "".join(f"{name}=={version}\n" for name, version in sorted(found.items()))


def order_cards_by_bus() -> None:
    """Make CUDA, if it starts later, number cards in bus order, as NVML does.

    An order set by the user stays.
    """
    os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def list_unused_cards() -> tuple[str, ...]:
    """Return a note if this machine has a card that its torch cannot use."""
    names = [gpu.name for gpu in _gpus()] if _is_cpu_torch() else []
    if not names:
        return ()
    version = metadata.version("torch")
    return (
        f"the {', '.join(names)} is not used: torch {version} is built without CUDA. Install a "
        "build with it (https://pytorch.org/get-started) to measure the GPU",
    )


def _is_cpu_torch() -> bool:
    """Return whether the installed torch has no CUDA, by its version file: importing takes long."""
    try:
        file = Path(str(metadata.distribution("torch").locate_file("torch/version.py")))
        text = file.read_text(encoding="utf-8")
    except (metadata.PackageNotFoundError, OSError):
        return False
    return re.search(r"^cuda\b[^=]*= *None", text, re.M) is not None


def _gpus() -> tuple[Gpu, ...]:
    try:
        handles = list(nvml.list_cards())
    except Exception:  # no driver, no library or no card
        return ()
    return tuple(_describe_gpu(handle) for handle in handles)


def _describe_gpu(handle: object) -> Gpu:
    import pynvml

    version = pynvml.nvmlSystemGetCudaDriverVersion()
    return Gpu(
        name=nvml.read_text(pynvml.nvmlDeviceGetName(handle)),
        capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(nvml.find_whole_card(handle))),
        memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        driver=nvml.read_text(pynvml.nvmlSystemGetDriverVersion()),
        cuda=f"{version // 1000}.{version % 1000 // 10}",
        power_limit_w=nvml.try_read(lambda: pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3),
    )


def _git_state() -> tuple[str | Absent, bool | Absent]:
    """Return commit and dirty state of the harness's checkout, to trace figures to code."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        absent = Absent(absent="installed package, no git checkout")
        return absent, absent
    try:
        commit = ask_git(folder, "rev-parse", "HEAD")
        dirty = bool(ask_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError) as error:
        absent = Absent(absent=f"git: {error}")
        return absent, absent
    return commit, dirty


def ask_git(folder: Path, *words: str) -> str:
    """Return what git prints; raises OSError or SubprocessError if it fails."""
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10
    )
    return done.stdout.strip()


class Ability(NamedTuple):
    """Something that can be measured on a machine: a current value, or why it is absent."""

    what: str
    found: str | Absent


def list_abilities() -> tuple[Ability, ...]:
    """Return which parts of the machine's state can be recorded, in the order of the report."""
    with watch_conditions("cpu", [os.getpid()]) as watch:
        time.sleep(TICKS_S)
    seen = watch.conditions
    slowed = _with_unit(seen.cpu_throttled, " times in 50 ms")
    return (
        *_card_abilities(),
        Ability("energy of the processors (RAPL)", _with_unit(seen.energy_j, " J in 50 ms")),
        Ability("clock of the processors (cpufreq)", _with_unit(seen.cpu_mhz, " MHz")),
        Ability("processors slowed for heat (thermal_throttle)", slowed),
        Ability("load by other programs (/proc/stat)", _load(seen.cpu_load)),
        Ability("peak of resident memory (VmHWM)", _peak()),
        Ability("counters of the processors (perf)", _perf()),
        Ability("kernels of the GPU in traces (CUPTI)", _cupti()),
        Ability("Nsight Systems (nsys)", shutil.which("nsys") or Absent(absent="not on PATH")),
    )


def _card_abilities() -> list[Ability]:
    """Return what NVML reports about the card that torch calls "cuda"."""
    card = nvml.try_read(nvml.find_first_card)
    if isinstance(card, Absent):
        return [Ability("the GPU's counters (NVML)", card)]
    sample = nvml.sample_gpu(card, ())
    energy = _with_unit(nvml.read_energy_j(card), " J since its driver was loaded")
    return [
        Ability("clock of the GPU (NVML)", _with_unit(sample.clock_mhz, " MHz")),
        Ability("clock of the GPU's memory (NVML)", _with_unit(sample.memory_clock_mhz, " MHz")),
        Ability("temperature of the GPU (NVML)", _with_unit(sample.temperature_c, " °C")),
        Ability("power of the GPU (NVML)", _with_unit(sample.power_w, " W")),
        Ability("energy of the GPU (NVML)", energy),
        Ability("why the GPU is slowed (NVML)", _listed(sample.throttle, "not slowed now")),
        Ability("processes on the GPU (NVML)", _listed(sample.foreign_processes, "none now")),
    ]


def _with_unit(reading: float | Absent, unit: str) -> str | Absent:
    return reading if isinstance(reading, Absent) else f"{reading:.4g}{unit}"


def _load(share: float | Absent) -> str | Absent:
    if isinstance(share, Absent):
        return share
    return f"{format_percent(share, 0)} of the cores' time just now"


def _listed(reading: tuple[Any, ...] | Absent, nothing: str) -> str | Absent:
    if isinstance(reading, Absent):
        return reading
    return ", ".join(str(getattr(one, "name", one)) for one in reading) or nothing


def _peak() -> str | Absent:
    peak = reset_resident_peak()
    return peak if isinstance(peak, Absent) else f"can be reset; {format_bytes(peak)} now"


def _perf() -> str | Absent:
    """Above 2, users may not count their own programs (Linux, admin-guide/sysctl/kernel.rst)."""
    try:
        level = int(PARANOID.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Absent(absent="this kernel has no perf")
    words = f"perf_event_paranoid is {level}"
    if level > 2 and os.geteuid() != 0:
        fix = "sudo sysctl kernel.perf_event_paranoid=2"
        return Absent(absent=f"{words}: not permitted for this user ({fix})")
    return words


def _cupti() -> str | Absent:
    if isinstance(nvml.try_read(nvml.find_first_card), Absent):
        return Absent(absent="no GPU")
    if are_counters_denied():
        fix = "set NVreg_RestrictProfilingToAdminUsers=0 for the nvidia module"
        return Absent(absent=f"for administrators only: {fix}")
    return "permitted by the driver"
