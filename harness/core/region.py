"""Names for what goes on inside a call, so that a profiler shows more than kernels.

Nsight Systems sees every region as an NVTX range ("denoiser", "step 7", "cascade stage 32x32"); without a tool that
listens, a range costs about a microsecond. Whoever takes a trace of another kind hears of the same regions by
`recording`. Never open one inside of what a compiler traces: it would break the graph.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import nvtx

from harness.core.trace import REGION, STEP

Recorder = Callable[[str], AbstractContextManager[Any]]
"""Given a name with its prefix (`harness.stage:denoiser`), returns the range to enter, such as a record_function."""


class _Recording(NamedTuple):
    recorder: Recorder
    opened: list[AbstractContextManager[Any]]


_recording: ContextVar[_Recording | None] = ContextVar("recording", default=None)


def begin(name: str, kind: str = REGION) -> None:
    """Open a region in this thread; `kind` is STAGE, STEP (its name is a number) or REGION of core.trace."""
    nvtx.push_range(f"step {name}" if kind == STEP else name)
    if (recording_now := _recording.get()) is not None:
        entered = recording_now.recorder(kind + name)
        entered.__enter__()
        recording_now.opened.append(entered)


def end() -> None:
    """Close the region that was opened last in this thread; without one nothing happens."""
    nvtx.pop_range()
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
