"""Time each part of a pipeline from outside: hooks around calls, CUDA events on a GPU, named for profilers."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from harness.core import region
from harness.core.trace import STAGE, STEP
from harness.measure.clock import marker, release, seconds_between

STEPPED = "denoiser"
"""The role whose calls are the steps, numbered from 1."""


class PartCall(NamedTuple):
    """One call of a part: its role and its seconds."""

    role: str
    seconds: float


class StageClock:
    """Records the calls of a model's parts; read `calls()` after the pipeline call has ended.

    On a GPU a mark is an event in the stream: nothing waits for it, so the total is not disturbed.
    """

    def __init__(self, device: str) -> None:
        self._mark = marker(device)
        self._begun: dict[str, Any] = {}
        self._marks: list[tuple[str, Any, Any]] = []
        self._calls: list[PartCall] = []
        self._steps = 0

    def begin(self, role: str) -> None:
        region.begin(role, STAGE)
        if role == STEPPED:
            self._steps += 1
            region.begin(str(self._steps), STEP)
        self._begun[role] = self._mark()

    def end(self, role: str) -> None:
        self._marks.append((role, self._begun.pop(role), self._mark()))
        if role == STEPPED:
            region.end()
        region.end()

    def calls(self) -> list[PartCall]:
        """Return every call in order; on a GPU the device must have been synchronized."""
        for role, begin, end in self._marks:
            self._calls.append(PartCall(role, seconds_between(begin, end)))
            release((begin, end))
        self._marks.clear()
        return self._calls


@contextmanager
def stage_clock(parts: dict[str, Any], device: str) -> Iterator[StageClock]:
    """Watch the calls of each part inside the block.

    The hooks sit on the object that the pipeline calls (a compiled module included), so they run outside
    compiled code and cost microseconds a call.
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
