"""Two timers around work that may run on a GPU: the wall clock between two synchronizations, and CUDA events."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from harness.core.units import Absent

_spare: list[Any] = []
"""Events that were read and can be recorded again: to make one anew takes longer than to record it."""


class Stopwatch:
    """Holds a block's wall seconds once it has ended, and those between two events on the GPU's own clock."""

    seconds: float = 0.0
    device_s: float | Absent = Absent(absent="no GPU")


@contextmanager
def timed(device: str = "cpu") -> Iterator[Stopwatch]:
    """Measure a block, waiting for the GPU before both readings; the events lie between them."""
    watch = Stopwatch()
    mark = marker(device)
    synchronize(device)
    begin_s = time.perf_counter()
    begin = mark()
    yield watch
    end = mark()
    synchronize(device)
    watch.seconds = time.perf_counter() - begin_s
    if device.startswith("cuda"):
        watch.device_s = seconds_between(begin, end)
        release((begin, end))


def marker(device: str) -> Callable[[], Any]:
    """Return what marks a moment in the work that a device is given: an event on a GPU, the wall clock on a CPU."""
    return _record_event if device.startswith("cuda") else time.perf_counter


def seconds_between(begin: Any, end: Any) -> float:
    """Return the seconds between two marks; on a GPU it must have been synchronized since."""
    if isinstance(begin, float):
        return float(end - begin)
    return float(begin.elapsed_time(end)) / 1e3


def release(marks: Iterable[Any]) -> None:
    """Give marks back that were read, so that their events are recorded again."""
    _spare.extend(mark for mark in marks if not isinstance(mark, float))


def synchronize(device: str) -> None:
    """Wait until the GPU has done all it was given; nothing to do on a CPU."""
    if device.startswith("cuda"):
        import torch

        torch.cuda.synchronize()


def _record_event() -> Any:
    import torch

    event = _spare.pop() if _spare else torch.cuda.Event(enable_timing=True)
    event.record()
    return event
