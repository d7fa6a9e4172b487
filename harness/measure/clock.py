"""Timers: wall clock, CUDA events, and the calls of each pipeline stage."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from harness.core.trace import STAGE, STEP, begin_region, end_region
from harness.core.units import Absent

_spare: list[Any] = []
"""Events to record again: creating an event takes longer than recording it."""


class Stopwatch:
    """A block's seconds by the wall clock and by the GPU's own clock, once it has ended."""

    seconds: float = 0.0
    device_s: float | Absent = Absent(absent="no GPU")


@contextmanager
def time_block(device: str = "cpu") -> Iterator[Stopwatch]:
    """Time a block, with the GPU synchronized before both readings and events between them."""
    watch = Stopwatch()
    mark = make_marker(device)
    synchronize(device)
    begin_s = time.perf_counter()
    begin = mark()
    yield watch
    end = mark()
    synchronize(device)
    watch.seconds = time.perf_counter() - begin_s
    if device.startswith("cuda"):
        watch.device_s = count_seconds(begin, end)
        release((begin, end))


def make_marker(device: str) -> Callable[[], Any]:
    """Return a function that marks the time: by an event on a GPU, by the wall clock on a CPU."""
    return _record_event if device.startswith("cuda") else time.perf_counter


def count_seconds(begin: Any, end: Any) -> float:
    """Return the seconds between two marks; a GPU must have been synchronized since."""
    if isinstance(begin, float):
        return float(end - begin)
    return float(begin.elapsed_time(end)) / 1e3


def release(marks: Iterable[Any]) -> None:
    """Return marks that were read, so that their events are recorded again."""
    _spare.extend(mark for mark in marks if not isinstance(mark, float))


def synchronize(device: str) -> None:
    """Wait until a GPU has finished its work."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _record_event() -> Any:
    import torch

    event = _spare.pop() if _spare else torch.cuda.Event(enable_timing=True)
    event.record()
    return event


STEPPED = "denoiser"
"""The role whose calls are the steps."""


class PartCall(NamedTuple):
    """One call of a part: its role and its seconds."""

    role: str
    seconds: float


class StageClock:
    """Records the calls of a model's parts; read `calls()` after the pipeline call.

    On a GPU, marks are events in the stream, which do not synchronize and leave the total
    unchanged.
    """

    def __init__(self, device: str) -> None:
        self._mark = make_marker(device)
        self._begun: dict[str, Any] = {}
        self._marks: list[tuple[str, Any, Any]] = []
        self._calls: list[PartCall] = []
        self._steps = 0

    def begin(self, role: str) -> None:
        begin_region(role, STAGE)
        if role == STEPPED:
            self._steps += 1
            begin_region(str(self._steps), STEP)
        self._begun[role] = self._mark()

    def end(self, role: str) -> None:
        self._marks.append((role, self._begun.pop(role), self._mark()))
        if role == STEPPED:
            end_region()
        end_region()

    def calls(self) -> list[PartCall]:
        """Return all calls in order; a GPU must have been synchronized."""
        for role, begin, end in self._marks:
            self._calls.append(PartCall(role, count_seconds(begin, end)))
            release((begin, end))
        self._marks.clear()
        return self._calls


@contextmanager
def time_stages(parts: dict[str, Any], device: str) -> Iterator[StageClock]:
    """Time the calls of each part inside the block.

    Hooks on the object that the pipeline calls, such as a compiled module, run outside compiled
    code and cost microseconds a call.
    """
    clock = StageClock(device)
    handles = [handle for role, part in parts.items() for handle in _watch(part, role, clock)]
    try:
        yield clock
    finally:
        for handle in handles:
            handle.remove()


def _watch(part: Any, role: str, clock: StageClock) -> list[Any]:
    def before(*_: Any) -> None:
        clock.begin(role)

    def after(*_: Any) -> None:
        clock.end(role)

    return [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
