"""Names for what goes on inside a call, so that a profiler shows more than kernels.

Workers annotate with the nvtx module, so Nsight Systems shows every region as an NVTX range ("denoiser", "step 7",
"cascade stage 32x32"); without a profiler a range costs about a microsecond. `recording` passes the same regions to
another kind of trace. Do not open a region inside code that a compiler traces: it breaks the graph.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple, Protocol

from harness.core.trace import REGION, STEP

Recorder = Callable[[str], AbstractContextManager[Any]]
"""Given a name with its prefix (`harness.stage:denoiser`), returns the range to enter, such as a record_function."""


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


def begin(name: str, kind: str = REGION) -> None:
    """Open a region in this thread; `kind` is STAGE, STEP (its name is a number) or REGION of core.trace."""
    for annotator in _annotators:
        annotator.push_range(f"step {name}" if kind == STEP else name)
    if (recording_now := _recording.get()) is not None:
        entered = recording_now.recorder(kind + name)
        entered.__enter__()
        recording_now.opened.append(entered)


def end() -> None:
    """Close the region that was opened last in this thread; without one nothing happens."""
    for annotator in _annotators:
        annotator.pop_range()
    if (recording_now := _recording.get()) is not None and recording_now.opened:
        recording_now.opened.pop().__exit__(None, None, None)


@contextmanager
def region(name: str, kind: str = REGION) -> Iterator[None]:
    """Name what happens inside the block."""
    begin(name, kind)
    try:
        yield
    finally:
        end()


@contextmanager
def recording(recorder: Recorder) -> Iterator[None]:
    """Let `recorder` hear of all regions that this thread opens inside the block; what an error left open is closed."""
    opened: list[AbstractContextManager[Any]] = []
    token = _recording.set(_Recording(recorder, opened))
    try:
        yield
    finally:
        _recording.reset(token)
        while opened:
            opened.pop().__exit__(None, None, None)
