"""What became of a planned cell: completed with raw samples, failed, or skipped; exactly one of them."""

from collections import Counter
from typing import Annotated, Literal

from pydantic import Field

from harness.core.base import Frozen
from harness.core.timing import Pairing, Repeat
from harness.core.trace import Trace
from harness.core.units import Absent

Phase = Literal[
    "start", "load", "apply", "compile", "warmup", "baseline_worker", "repeats", "memory", "roofline", "images",
    "trace", "save",
]  # fmt: skip
FailureKind = Literal["error", "out-of-memory", "timeout", "crash", "bad-image", "disk-full", "no-effect"]


class Image(Frozen):
    """One picture on disk, identified for pairing by (prompt_id, seed); `path` is relative to the cell's folder."""

    prompt_id: str
    seed: int
    path: str
    sha256: str

    @property
    def key(self) -> tuple[str, int]:
        return (self.prompt_id, self.seed)


class ColdStart(Frozen):
    """From nothing to the first image, in seconds of each part: one follows on the other and none holds another.

    Start the process, load, apply the settings, compile, and make the first whole call (the first warm-up call, or
    the first timed one where measure.warmup = 0).
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
    "first-call", "warming-up", "outliers", "two-speeds", "drift", "few-groups", "not-precise", "profiled", "throttled",
    "power-capped", "clock-drift", "cpu-clock-drift", "hot", "busy", "foreign-processes", "not-traced",
]  # fmt: skip
"""What measuring warns of; reports have a place for each. Axis values have kinds of their own."""


class Caution(Frozen):
    """Something a reader must know about a measurement, with advice."""

    kind: str
    message: str
    advice: str = ""


def measured_caution(kind: MeasuredKind, message: str, advice: str = "") -> Caution:
    """Return a caution of measuring, whose kinds are all known."""
    return Caution(kind=kind, message=message, advice=advice)


Figures = dict[str, float | int | str]
"""Figures of an effect by name (`bytes_before`, `cache_hits` …)."""


class Shown(Frozen):
    """What was seen of a value's work: a sentence for people, figures for tables (`bytes_before`, `cache_hits` …)."""

    summary: str
    figures: Figures = {}


class Applied(Shown):
    """What one setting of a cell really did, beside what it was asked to do."""

    axis: str
    value: str


class Failed(Frozen):
    """A cell that did not complete: what happened, in which phase, and what to try."""

    status: Literal["failed"] = "failed"
    kind: FailureKind
    phase: Phase
    message: str
    hint: str = ""
    log: str = ""
    wall_s: float = 0.0


class Roofline(Frozen):
    """The least time that the denoiser's arithmetic in one whole-pipeline call could take on this device.

    `flops` are the operations of the network as it was loaded, a multiplication and an addition being two;
    `flops_per_s` is the rate measured here for large matrix products in `dtype`, `bytes_per_s` that of a large copy,
    reading and writing counted.
    """

    flops: float
    flops_per_s: float
    dtype: str
    bytes_per_s: float | Absent = Absent(absent="not measured")

    @property
    def seconds(self) -> float:
        return self.flops / self.flops_per_s


COUNTERS = {
    "device_used_bytes": "held of the device", "reserved_bytes": "reserved by torch",
    "allocated_bytes": "allocated by torch", "resident_bytes": "resident",
}  # fmt: skip
"""What may count memory, each in words; the first that is known tells the peak."""


class Peak(Frozen):
    """The highest memory, and what counted it: one counter's figure is no limit to another's."""

    count: int
    counter: str


class Memory(Frozen):
    """The highest memory during one whole-pipeline call at the cell's batch, in a pass of its own that is not timed.

    `device_used_bytes` is what this process holds of the device, as the driver counts it; `resident_bytes` the highest
    resident memory of the process (VmHWM), of which `resident_before_bytes` were there before the call.
    """

    allocated_bytes: int | Absent
    reserved_bytes: int | Absent
    device_used_bytes: int | Absent
    resident_bytes: int | Absent
    resident_before_bytes: int | Absent

    def peak(self) -> Peak | Absent:
        """Return the figure a card or a machine is chosen by: the device's where there is one, else the process's."""
        for name, counter in COUNTERS.items():
            count = getattr(self, name)
            if not isinstance(count, Absent):
                return Peak(count=count, counter=counter)
        assert isinstance(self.resident_bytes, Absent)
        return self.resident_bytes


NO_MEMORY = Memory.model_validate(dict.fromkeys(Memory.model_fields, Absent(absent="not measured")))
UNTIMED = Pairing(kind="alone", blocks=(), stopped="not timed: it is there for its images")


class Completed(Frozen):
    """A measured cell: raw samples, never summaries. `phases_s` is the ledger of the cell's wall time.

    In an adaptive run images and ledger grow with every round; what was timed is of the first.
    """

    status: Literal["completed"] = "completed"
    cold_start: ColdStart | Absent
    """Absent where the images were taken over from another run: nothing was started here."""
    warmup_s: tuple[float, ...]
    pairing: Pairing = UNTIMED
    batch: int
    images: tuple[Image, ...]
    denoiser_calls: int
    """Calls of the denoiser during one whole-pipeline call: counted, not assumed."""
    weights_bytes: dict[str, int]
    memory: Memory = NO_MEMORY
    roofline: Roofline | Absent = Absent(absent="not measured")
    threads: int
    phases_s: dict[str, float]
    applied: tuple[Applied, ...] = ()
    warnings: tuple[Caution, ...] = ()
    trace: Trace | Absent = Absent(absent="not asked for (measure.trace = false)")
    reused_from: str | None = None
    halted: Failed | None = None
    """Why a later round brought no more images, though they were wanted; what was made before stays."""

    @property
    def repeats(self) -> tuple[Repeat, ...]:
        """The cell's own timed calls, in order, without those of blocks that were timed once more."""
        return tuple(repeat for block in self.pairing.of("cell") for repeat in block.repeats)

    @property
    def prompts(self) -> int:
        """How many prompts there are images of."""
        return len({image.prompt_id for image in self.images})

    def lacks(self, prompts: int) -> bool:
        """Whether images of this many prompts are still to be made; no more are, once a round was halted."""
        return self.halted is None and self.prompts < prompts

    def extended(self, added: "Extended") -> "Completed":
        """Return it with the images of another round, what is to be known of them, and the time they took."""
        phases = Counter(self.phases_s)
        phases.update(added.phases_s)
        warnings = tuple(dict.fromkeys(self.warnings + added.warnings))
        update = {"images": self.images + added.images, "phases_s": dict(phases), "warnings": warnings}
        return self.model_copy(update=update)


class Extended(Frozen):
    """What another round adds to a completed cell: pictures, and the time they took.

    Of an adaptive run, or of a cell that was timed between two times of the baseline.
    """

    status: Literal["extended"] = "extended"
    images: tuple[Image, ...]
    phases_s: dict[str, float]
    warnings: tuple[Caution, ...] = ()


class Skipped(Frozen):
    """A cell that was not tried, with the reason the plan gave."""

    status: Literal["skipped"] = "skipped"
    reason: str


Outcome = Annotated[Completed | Failed | Skipped, Field(discriminator="status")]


def find_failure(outcome: Outcome | None) -> Failed | None:
    """Return what went wrong with a cell, be it in its first round or in a later one that halted it."""
    if isinstance(outcome, Completed):
        return outcome.halted
    return outcome if isinstance(outcome, Failed) else None
