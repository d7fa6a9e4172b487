"""The device's time laid in one row: which work a moment belongs to, and when there was none."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.tracing.host import Idle, Stages
from harness.tracing.names import short_name
from harness.tracing.work import Work


class Busy(NamedTuple):
    """A piece of work, the stage that launched it, and for how long it alone is what the device is said to do."""

    work: Work
    stage: str
    seconds: float


def busy_times(work: Sequence[Work], stages: Stages) -> list[Busy]:
    """Share out the device's time, in order of begin.

    Of kernels that overlap the first has it; copies have what no kernel covers: one that runs beside the arithmetic,
    as offloaded weights do, costs nothing.
    """
    kernels = [piece for piece in work if not piece.is_copy]
    covered = _Covered(kernels)
    found = [*_first_come(kernels, stages, None), *_first_come(filter(lambda p: p.is_copy, work), stages, covered)]
    return sorted(found, key=lambda busy: busy.work.begin_s)


def idle_times(work: Sequence[Work], window: tuple[float, float]) -> list[Idle]:
    """Return when the device had nothing to do between two moments, in order of begin."""
    idle: list[Idle] = []
    cursor, after = window[0], ""
    for piece in work:
        if piece.begin_s > cursor:
            idle.append(Idle(cursor, piece.begin_s, after, short_name(piece.name)))
        if piece.end_s > cursor:
            cursor, after = piece.end_s, short_name(piece.name)
    if window[1] > cursor:
        idle.append(Idle(cursor, window[1], after, ""))
    return idle


class _Covered:
    """The time in which at least one kernel runs."""

    def __init__(self, kernels: Iterable[Work]) -> None:
        self.begins: list[float] = []
        self.ends: list[float] = []
        for piece in kernels:
            if self.ends and piece.begin_s <= self.ends[-1]:
                self.ends[-1] = max(self.ends[-1], piece.end_s)
            else:
                self.begins.append(piece.begin_s)
                self.ends.append(piece.end_s)

    def seconds(self, begin_s: float, end_s: float) -> float:
        """Return how much of a stretch is covered."""
        first, last = bisect_right(self.ends, begin_s), bisect_left(self.begins, end_s)
        return sum(min(self.ends[n], end_s) - max(self.begins[n], begin_s) for n in range(first, last))


def _first_come(work: Iterable[Work], stages: Stages, covered: _Covered | None) -> Iterable[Busy]:
    cursor = float("-inf")
    for piece in work:
        begin = max(piece.begin_s, cursor)
        seconds = max(piece.end_s - begin, 0.0)
        if covered is not None and seconds:
            seconds -= covered.seconds(begin, piece.end_s)
        cursor = max(cursor, piece.end_s)
        yield Busy(piece, stages.of(piece), max(seconds, 0.0))
