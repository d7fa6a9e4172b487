"""What became of a planned cell: completed with raw samples, failed, or skipped; exactly one of them."""

from typing import Annotated, Literal

from pydantic import Field

from harness.core.base import Frozen
from harness.core.units import Absent

Phase = Literal["start", "load", "apply", "compile", "warmup", "repeats", "images", "trace", "save"]
FailureKind = Literal["error", "out-of-memory", "timeout", "crash", "bad-image", "disk-full", "interrupted"]


class Image(Frozen):
    """One picture on disk, identified for pairing by (prompt_id, seed); `path` is relative to the cell's folder."""

    prompt_id: str
    seed: int
    path: str
    sha256: str

    @property
    def key(self) -> tuple[str, int]:
        return (self.prompt_id, self.seed)


class Repeat(Frozen):
    """One timed call of the whole pipeline: `stages_s` sums each part's calls, `steps_s` is each denoiser call."""

    latency_s: float
    stages_s: dict[str, float]
    steps_s: tuple[float, ...]
    peak_allocated_bytes: int | Absent
    peak_reserved_bytes: int | Absent
    device_used_bytes: int | Absent
    energy_j: float | Absent
    clock_mhz: float | Absent
    temperature_c: float | Absent


class ColdStart(Frozen):
    """From nothing to the first image: start the process, load, apply the settings, compile, first call."""

    start_s: float
    load_s: float
    apply_s: float
    compile_s: float
    first_image_s: float


class Caution(Frozen):
    """Something a reader must know about a measurement, with advice."""

    kind: str
    message: str
    advice: str = ""


class Completed(Frozen):
    """A measured cell: raw samples, never summaries. `phases_s` is the ledger of the cell's wall time."""

    status: Literal["completed"] = "completed"
    cold_start: ColdStart
    warmup_s: tuple[float, ...]
    repeats: tuple[Repeat, ...]
    batch: int
    images: tuple[Image, ...]
    denoiser_calls: int
    """Calls of the denoiser during one whole-pipeline call: counted, not assumed."""
    weights_bytes: dict[str, int]
    peak_memory_bytes: int | Absent
    """Highest resident memory of the cell's process while it made images (CPU), or device memory (GPU)."""
    threads: int
    phases_s: dict[str, float]
    applied: tuple[str, ...] = ()
    warnings: tuple[Caution, ...] = ()
    traces: tuple[str, ...] = ()
    reused_from: str | None = None


class Failed(Frozen):
    """A cell that did not complete: what happened, in which phase, and what to try."""

    status: Literal["failed"] = "failed"
    kind: FailureKind
    phase: Phase
    message: str
    hint: str = ""
    log: str = ""
    wall_s: float = 0.0


class Skipped(Frozen):
    """A cell that was not tried, with the reason the plan gave."""

    status: Literal["skipped"] = "skipped"
    reason: str


Outcome = Annotated[Completed | Failed | Skipped, Field(discriminator="status")]
