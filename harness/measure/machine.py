"""Describe this computer, without importing torch."""

import os
import platform
import re
import socket
import subprocess
from importlib import metadata
from pathlib import Path

import psutil

from harness.core.machine import Gpu, Machine
from harness.core.units import Absent
from harness.measure._cards import refused, visible_cards, whole_card

PACKAGES = (
    "diffusion-harness", "torch", "torchvision", "diffusers", "transformers", "accelerate", "peft", "numpy", "scipy",
    "open_clip_torch", "lpips", "torchmetrics", "optimum-quanto", "torchao", "bitsandbytes", "onnx", "onnxscript",
    "onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "tensorrt_rtx", "triton", "xformers",
    "sageattention",
)  # fmt: skip


def describe_machine() -> Machine:
    """Return what can change a measurement on this computer: cards, processor, memory, versions."""
    commit, dirty = _git_state()
    return Machine(
        name=re.sub(r"[^A-Za-z0-9]+", "-", socket.gethostname()).strip("-").lower() or "machine",
        gpus=_gpus(),
        cpu=_cpu_model(),
        cpu_cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=psutil.virtual_memory().total,
        os=platform.platform(),
        python=platform.python_version(),
        packages=_versions(),
        git_commit=commit,
        git_dirty=dirty,
    )


def count_by_bus() -> None:
    """Let CUDA, where it starts after this, count cards in the order of the bus, as NVML does, not the fastest first.

    An order that the user has set stays.
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


def _gpus() -> tuple[Gpu, ...]:
    try:
        handles = list(visible_cards())
    except Exception:  # no driver, no library, no card: there is no GPU to describe
        return ()
    return tuple(_describe_gpu(handle) for handle in handles)


def _describe_gpu(handle: object) -> Gpu:
    import pynvml

    version = pynvml.nvmlSystemGetCudaDriverVersion()
    try:
        limit: float | Absent = pynvml.nvmlDeviceGetPowerManagementLimit(handle) / 1e3
    except pynvml.NVMLError as error:
        limit = refused(error)
    return Gpu(
        name=_text(pynvml.nvmlDeviceGetName(handle)),
        capability=tuple(pynvml.nvmlDeviceGetCudaComputeCapability(whole_card(handle))),
        memory_bytes=pynvml.nvmlDeviceGetMemoryInfo(handle).total,
        driver=_text(pynvml.nvmlSystemGetDriverVersion()),
        cuda=f"{version // 1000}.{version % 1000 // 10}",
        power_limit_w=limit,
    )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _git_state() -> tuple[str | Absent, bool | Absent]:
    """The commit of the harness's own checkout, so that a figure can be traced to the code that took it."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        absent = Absent(absent="installed package, no git checkout")
        return absent, absent
    try:
        commit = _git(folder, "rev-parse", "HEAD")
        dirty = bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.SubprocessError) as error:
        absent = Absent(absent=f"git: {error}")
        return absent, absent
    return commit, dirty


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", check=True, timeout=10)
    return done.stdout.strip()
