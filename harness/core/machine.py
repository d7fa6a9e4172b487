"""The machine a figure was measured on."""

from harness.core.base import Frozen
from harness.core.units import Absent

MEMORY_TOLERANCE = 0.05
"""Hosts of one kind report memory that differs by a few MiB: as a share, so much is no difference.
"""


class Gpu(Frozen):
    """One graphics card as its driver describes it."""

    name: str
    capability: tuple[int, int]
    memory_bytes: int
    driver: str
    cuda: str
    power_limit_w: float | Absent


class Machine(Frozen):
    """Everything about a computer that can change a measurement."""

    name: str
    gpus: tuple[Gpu, ...] = ()
    cpu: str
    cpu_cores: int
    memory_bytes: int
    os: str
    python: str
    packages: dict[str, str]
    git_commit: str | Absent
    git_dirty: bool | Absent

    @property
    def native_fp16(self) -> bool:
        """Whether FP16 arithmetic runs in hardware; on a CPU it is emulated, 40 times slower than
        FP32."""
        return bool(self.gpus)

    @property
    def device(self) -> str:
        """Torch's name of the device that cells run on."""
        return "cuda" if self.gpus else "cpu"

    @property
    def facts(self) -> dict[str, str]:
        """The hardware and software that a figure or an image depends on, by name.

        The host's name is none of it: a restarted pod has another. Its memory is compared by
        `differences`.
        """
        gpu = self.gpus[0] if self.gpus else None
        return {
            "GPU": ", ".join(gpu.name for gpu in self.gpus) or "none",
            "GPU memory": f"{gpu.memory_bytes / 2**30:.0f} GiB" if gpu else "none",
            "capability": ".".join(map(str, gpu.capability)) if gpu else "none",
            "driver": gpu.driver if gpu else "none",
            "CUDA": gpu.cuda if gpu else "none",
            "power limit": str(gpu.power_limit_w) if gpu else "none",
            "processor": f"{self.cpu}, {self.cpu_cores} cores",
            "system": self.os,
            "Python": self.python,
            **self.packages,
        }

    def differences(self, other: "Machine") -> list[str]:
        """Return what differs in hardware and software: `driver: 550 ≠ 570`; empty where figures
        are comparable."""
        mine, theirs = self.facts, other.facts
        differ = [
            name for name in dict.fromkeys((*mine, *theirs)) if mine.get(name) != theirs.get(name)
        ]
        found = [
            f"{name}: {mine.get(name, 'absent')} ≠ {theirs.get(name, 'absent')}" for name in differ
        ]
        if abs(self.memory_bytes - other.memory_bytes) > MEMORY_TOLERANCE * self.memory_bytes:
            found.append(
                f"memory: {self.memory_bytes / 2**30:.1f} ≠ {other.memory_bytes / 2**30:.1f} GiB"
            )
        return found

    @property
    def title(self) -> str:
        """One line for people: the card, or the processor with its cores and memory."""
        if self.gpus:
            return (
                f"{len(self.gpus)} × {self.gpus[0].name}"
                if len(self.gpus) > 1
                else self.gpus[0].name
            )
        return f"{self.cpu}, {self.cpu_cores} cores, {self.memory_bytes / 2**30:.0f} GiB, no GPU"
