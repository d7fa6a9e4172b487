"""The machine a figure was measured on."""

from harness.core.base import Frozen
from harness.core.units import Absent


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
        """Whether FP16 arithmetic runs in hardware; on a CPU it is emulated, 40 times slower than FP32."""
        return bool(self.gpus)

    @property
    def device(self) -> str:
        """Torch's name of the device that cells run on."""
        return "cuda" if self.gpus else "cpu"

    @property
    def title(self) -> str:
        """One line for people: the card, or the processor with its cores and memory."""
        if self.gpus:
            return f"{len(self.gpus)} × {self.gpus[0].name}" if len(self.gpus) > 1 else self.gpus[0].name
        return f"{self.cpu}, {self.cpu_cores} cores, {self.memory_bytes / 2**30:.0f} GiB, no GPU"
