"""The outcome of a planned cell: completed with raw samples, failed, or skipped."""

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field

from harness.core.base import Frozen
from harness.core.timing import Pairing, Repeat
from harness.core.trace import Trace
from harness.core.units import Absent

Phase = Literal[
    "start", "load", "apply", "compile", "warmup", "baseline_worker", "repeats", "memory",
    "roofline", "images", "trace", "save",
]  # fmt: skip
FailureKind = Literal[
    "error", "out-of-memory", "timeout", "crash", "bad-image", "disk-full", "no-effect"
]


class Image(Frozen):
    """One image, identified by (prompt_id, seed); `path` is relative to the cell's folder."""

    prompt_id: str
    seed: int
    path: str
    sha256: str

    @property
    def key(self) -> tuple[str, int]:
        return (self.prompt_id, self.seed)


class ColdStart(Frozen):
    """Seconds to the first image by part; parts follow each other and do not overlap.

    Start the process, load, apply the settings, compile, and make the first whole call (the first
    warm-up call, or the first timed one where measure.warmup = 0).
    """

    start_s: float
    load_s: float
    apply_s: float
    compile_s: float
    first_call_s: float

    @property
    def total_s(self) -> float:
        return self.start_s + self.load_s + self.apply_s + self.compile_s + self.first_call_s


MeasuredKind = Literal[
    "first-call", "warming-up", "outliers", "two-speeds", "drift", "few-rounds", "not-precise",
    "profiled", "throttled", "power-capped", "clock-drift", "cpu-clock-drift", "hot", "busy",
    "foreign-processes", "not-traced",
]  # fmt: skip
"""Kinds of warnings of measurements; axis values add further kinds."""


class Caution(Frozen):
    """A warning about a measurement, with advice."""

    kind: str
    message: str
    advice: str = ""


def measured_caution(kind: MeasuredKind, message: str, advice: str = "") -> Caution:
    """Return a warning of a measurement."""
    return Caution(kind=kind, message=message, advice=advice)


Figures = dict[str, float | int | str]
"""Figures of an effect by name (`bytes_before`, `cache_hits` …)."""


class Shown(Frozen):
    """The effect of a value: a sentence, and figures for tables (such as `bytes_before`)."""

    summary: str
    figures: Figures = {}


class Applied(Shown):
    """The applied effect of one setting of a cell."""

    axis: str
    value: str


class Failed(Frozen):
    """A cell that did not complete: error, phase, and advice."""

    status: Literal["failed"] = "failed"
    kind: FailureKind
    phase: Phase
    message: str
    hint: str = ""
    log: str = ""
    wall_s: float = 0.0


class Roofline(Frozen):
    """The least time of the denoiser's arithmetic in one pipeline call on this device.

    `flops` are the operations of the network as it was loaded, a multiplication and an addition
    being two; `flops_per_s` is the rate measured here for large matrix products in `dtype`,
    `bytes_per_s` that of a large copy, reading and writing counted.
    """

    flops: float
    flops_per_s: float
    dtype: str
    bytes_per_s: float | Absent = Absent(absent="not measured")

    @property
    def seconds(self) -> float:
        return self.flops / self.flops_per_s


COUNTERS = {
    "device_used_bytes": "used on the device", "reserved_bytes": "reserved by torch",
    "allocated_bytes": "allocated by torch", "resident_bytes": "resident",
}  # fmt: skip
"""Memory counters with their names; the first known one gives the peak."""


class Peak(Frozen):
    """The highest memory and its counter; figures of different counters do not compare."""

    count: int
    counter: str


class Memory(Frozen):
    """The highest memory during one pipeline call at the cell's batch, in a separate pass that is
    not timed.

    `device_used_bytes` is the driver's figure for this process; `resident_bytes` the highest
    resident memory of the process (VmHWM), of which `resident_before_bytes` were there before the
    call.
    """

    allocated_bytes: int | Absent
    reserved_bytes: int | Absent
    device_used_bytes: int | Absent
    resident_bytes: int | Absent
    resident_before_bytes: int | Absent

    @property
    def peak_bytes(self) -> int | Absent:
        """The highest count of the first known counter."""
        peak = self.peak()
        return peak if isinstance(peak, Absent) else peak.count

    def peak(self) -> Peak | Absent:
        """Return the first known counter: the device's, torch's, or the process's."""
        for name, counter in COUNTERS.items():
            count = getattr(self, name)
            if not isinstance(count, Absent):
                return Peak(count=count, counter=counter)
        assert isinstance(self.resident_bytes, Absent)
        return self.resident_bytes


NO_MEMORY = Memory.model_validate(dict.fromkeys(Memory.model_fields, Absent(absent="not measured")))
UNTIMED = Pairing(kind="alone", blocks=(), stopped="not timed: only its images are needed")


class Completed(Frozen):
    """A measured cell: raw samples, never summaries. `phases_s` is the cell's wall time by phase.

    In an adaptive run images and phases grow with every stage; latencies are those of the first.
    """

    status: Literal["completed"] = "completed"
    cold_start: ColdStart | Absent
    """Absent if the images were reused from another run."""
    warmup_s: tuple[float, ...]
    pairing: Pairing = UNTIMED
    batch: int
    images: tuple[Image, ...]
    denoiser_calls: int
    """Denoiser calls during one pipeline call, as counted."""
    weights_bytes: dict[str, int]
    memory: Memory = NO_MEMORY
    roofline: Roofline | Absent = Absent(absent="not measured")
    threads: int
    phases_s: dict[str, float]
    applied: tuple[Applied, ...] = ()
    warnings: tuple[Caution, ...] = ()
    trace: Trace | Absent = Absent(absent="not traced (measure.trace = false)")
    reused_from: str | None = None
    halted: Failed | None = None
    """Why a later stage failed to add images; earlier images stay."""

    @property
    def repeats(self) -> tuple[Repeat, ...]:
        """The cell's timed calls in order, without superseded blocks."""
        return tuple(repeat for block in self.pairing.of("cell") for repeat in block.repeats)

    @property
    def prompts(self) -> int:
        """The number of prompts with images."""
        return len({image.prompt_id for image in self.images})

    def lacks(self, prompts: int) -> bool:
        """Return whether images of this many prompts are missing; False after a halted stage."""
        return self.halted is None and self.prompts < prompts

    def extended(self, added: "Extended") -> "Completed":
        """Return the cell with the images, warnings and phases of another stage."""
        phases = Counter(self.phases_s)
        phases.update(added.phases_s)
        warnings = tuple(dict.fromkeys(self.warnings + added.warnings))
        update = {
            "images": self.images + added.images,
            "phases_s": dict(phases),
            "warnings": warnings,
        }
        return self.model_copy(update=update)


class Extended(Frozen):
    """Images and phases that another stage adds to a completed cell.

    In an adaptive run, or for a cell that was sandwiched between two timings of the baseline.
    """

    status: Literal["extended"] = "extended"
    images: tuple[Image, ...]
    phases_s: dict[str, float]
    warnings: tuple[Caution, ...] = ()


class Skipped(Frozen):
    """A cell that was not run, with the plan's reason."""

    status: Literal["skipped"] = "skipped"
    reason: str


Outcome = Annotated[Completed | Failed | Skipped, Field(discriminator="status")]


def find_failure(outcome: Outcome | None) -> Failed | None:
    """Return the failure of a cell, in its first stage or in a later one."""
    if isinstance(outcome, Completed):
        return outcome.halted
    return outcome if isinstance(outcome, Failed) else None
