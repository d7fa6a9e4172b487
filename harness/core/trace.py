"""Facts of one traced call (kernels, gaps, stages), and the named regions that a profiler shows."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, Literal, NamedTuple, Protocol

from harness.core.base import Frozen
from harness.core.units import Absent

STAGE, STEP, REGION = "harness.stage:", "harness.step:", "harness.region:"
"""Prefixes of harness's ranges in a trace: a part's call, a numbered denoiser call, a named region.
"""

BETWEEN = "between stages"
"""The stage outside every part's call: the scheduler's step, the pipeline's Python code."""

Family = Literal["gemm", "attention", "convolution", "norm", "elementwise", "copy", "other"]


class Trace(Frozen):
    """A profiler's trace of one call, on disk: `path` is relative to the cell's folder."""

    path: str
    size_bytes: int
    steps: int
    """Steps of the traced call: the first few are enough, and a trace is large."""
    notes: tuple[str, ...] = ()
    """Limits of the trace: events left out for size, refused counters."""


class Kernel(Frozen):
    """All launches of one kernel (on a CPU: one operator, without what it calls) in one stage."""

    name: str
    family: Family
    stage: str
    calls: int
    total_s: float


class StageTime(Frozen):
    """One stage of the traced call: `busy_s` of `wall_s` something was computed, by family of
    kernels.

    The walls of all stages, BETWEEN included, add up to the call's: a moment in which the device
    works is of the stage that launched the work, one in which it waits is of the stage in which the
    host is.
    """

    stage: str
    calls: int
    """How often the part was called; 0 of BETWEEN."""
    wall_s: float
    busy_s: float
    families_s: dict[Family, float]
    kernels: int
    """Pieces of work for the device; on a CPU calls of operators, those within others included."""
    launches: int
    graph_launches: int
    """Of the launches those of a whole CUDA graph."""
    launch_s: float
    """Host time spent in launching kernels."""

    @property
    def gap_s(self) -> float:
        """Seconds in which the device was idle."""
        return max(self.wall_s - self.busy_s, 0.0)


class Span(Frozen):
    """A bar of the timeline: a stage, a step, or a region that an axis value named; `depth` is how
    deep it lies."""

    kind: Literal["stage", "step", "region"]
    name: str
    begin_s: float
    seconds: float
    depth: int


class Gap(Frozen):
    """A pause of the device: after which kernel, before which, and what the host did meanwhile."""

    begin_s: float
    seconds: float
    stage: str
    after: str
    before: str
    host: str


class Tally(Frozen):
    """How often something happened and how long it took; `size_bytes` where bytes were moved."""

    count: int
    total_s: float
    size_bytes: int = 0
    lost_s: dict[str, float] = {}
    """The cost by stage: seconds in which the device did nothing else, or nothing at all after a
    wait."""


class Waits(Tally):
    """How often the host waited for the device to finish, and `total_s` how long.

    `in_loop` of them lie between the first and the last denoiser call, where the device then had
    nothing to do for `idle_s`; `callers` are the operations that asked for it.
    """

    in_loop: int
    idle_s: float
    callers: dict[str, int]


class TraceFacts(Frozen):
    """The facts of a trace, small enough to store next to it and to pass to a language model."""

    device: Literal["cpu", "cuda"]
    wall_s: float
    busy_s: float
    stages: tuple[StageTime, ...]
    kernels: tuple[Kernel, ...]
    """The longest, by total time."""
    gaps: tuple[Gap, ...]
    """The longest."""
    synchronisations: Waits
    host_to_device: Tally
    device_to_host: Tally
    casts: Tally
    """Conversions between number formats by separate kernels or operators."""
    recompiles: int | Absent
    compiling_s: dict[str, float] = {}
    """By stage, the seconds in which torch.compile compiled."""
    timeline: tuple[Span, ...]
    ranges_left_out: int = 0
    """The shortest ranges, left out of a long timeline."""
    notes: tuple[str, ...] = ()


Recorder = Callable[[str], AbstractContextManager[Any]]
"""Given a name with its prefix (`harness.stage:denoiser`), returns the range to enter, such as a
record_function."""


class Annotator(Protocol):
    """Draws nested ranges on a profiler's timeline, as the nvtx module does."""

    def push_range(self, name: str) -> object:
        """Open a range in this thread."""

    def pop_range(self) -> object:
        """Close the range that was opened last in this thread."""


_annotators: list[Annotator] = []


class _Recording(NamedTuple):
    recorder: Recorder
    opened: list[AbstractContextManager[Any]]


_recording: ContextVar[_Recording | None] = ContextVar("recording", default=None)


def annotate_with(annotator: Annotator) -> None:
    """Draw all regions of this process with `annotator` from now on."""
    _annotators[:] = [annotator]


def begin_region(name: str, kind: str = REGION) -> None:
    """Open a region in this thread; `kind` is STAGE, STEP (its name is a number) or REGION."""
    for annotator in _annotators:
        annotator.push_range(f"step {name}" if kind == STEP else name)
    if (recording_now := _recording.get()) is not None:
        entered = recording_now.recorder(kind + name)
        entered.__enter__()
        recording_now.opened.append(entered)


def end_region() -> None:
    """Close the region that was opened last in this thread; a no-op without one."""
    for annotator in _annotators:
        annotator.pop_range()
    if (recording_now := _recording.get()) is not None and recording_now.opened:
        recording_now.opened.pop().__exit__(None, None, None)


@contextmanager
def region(name: str, kind: str = REGION) -> Iterator[None]:
    """Name the work inside the block."""
    begin_region(name, kind)
    try:
        yield
    finally:
        end_region()


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Pass all regions that this thread opens inside the block to `recorder`; close them after an
    error."""
    opened: list[AbstractContextManager[Any]] = []
    token = _recording.set(_Recording(recorder, opened))
    try:
        yield
    finally:
        _recording.reset(token)
        while opened:
            opened.pop().__exit__(None, None, None)
