"""Busy and idle time of the device, and what the host did meanwhile."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.core.trace import BETWEEN, REGION, STAGE, STEP
from harness.tracing.chrome_trace import Event
from harness.tracing.intervals import Track, innermost
from harness.tracing.work import TraceWork, Work, shorten_name

CALL = f"{REGION}call"
"""The range around the whole traced call, where there is one."""


class Idle(NamedTuple):
    """An interval without device work, and the work before and after it."""

    begin_s: float
    end_s: float
    after: str
    before: str

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


def is_ours(event: Event) -> bool:
    """Return whether harness put a range into the trace."""
    return event.name.startswith((STAGE, STEP, REGION))


class Stages:
    """The pipeline stage of the host at each moment, and so the stage of each piece of work."""

    def __init__(self, seen: TraceWork) -> None:
        self._host = Track(
            innermost(event for event in seen.ranges if event.name.startswith(STAGE))
        )
        self._device = Track(
            innermost(event for event in seen.device_ranges if event.name.startswith(STAGE))
        )

    def at(self, moment_s: float) -> str:
        return _stage(self._host.at(moment_s))

    def of(self, work: Work) -> str:
        """Return the stage that launched the work; if unknown, the stage that ran on the device."""
        if work.launched_s is not None:
            return self.at(work.launched_s)
        return _stage(self._device.at(work.begin_s))

    def during(self, begin_s: float, end_s: float) -> list[tuple[str, float]]:
        """Return the stages between two moments with their seconds."""
        return [(_stage(event), seconds) for event, seconds in self._host.during(begin_s, end_s)]


def _stage(event: Event | None) -> str:
    return event.name.removeprefix(STAGE) if event else BETWEEN


class HostActivity:
    """What the host did in some intervals, in words."""

    def __init__(self, seen: TraceWork, stretches: Sequence[Idle]) -> None:
        foreign = (event for event in seen.ranges if not is_ours(event))
        meant = [(stretch.begin_s, stretch.end_s) for stretch in stretches]
        self._track = Track(
            innermost(
                event
                for event in (*seen.operators, *seen.runtime, *foreign)
                if any(event.begin_s < end and event.end_s > begin for begin, end in meant)
            )
        )

    def during(self, begin_s: float, end_s: float) -> str:
        """Return the two events that took longest: `Python 62 %, aten::copy_ 31 %`."""
        shares: defaultdict[str, float] = defaultdict(float)
        for event, seconds in self._track.during(begin_s, end_s):
            shares[event.name if event else "Python"] += seconds / (end_s - begin_s)
        most = sorted(shares.items(), key=lambda pair: -pair[1])[:2]
        return ", ".join(f"{name} {share * 100:.0f} %" for name, share in most if share >= 0.05)


class Busy(NamedTuple):
    """A piece of work, the stage that launched it, and the seconds attributed to it alone."""

    work: Work
    stage: str
    seconds: float


def attribute_busy_time(work: Sequence[Work], stages: Stages) -> list[Busy]:
    """Attribute the device's time to work, by begin.

    Of overlapping kernels the first one gets the time; copies get the time that no kernel covers: a
    copy that overlaps arithmetic, as of offloaded weights, costs nothing.
    """
    kernels = [piece for piece in work if not piece.is_copy]
    covered = _Covered(kernels)
    found = [
        *_first_come(kernels, stages, None),
        *_first_come(filter(lambda p: p.is_copy, work), stages, covered),
    ]
    return sorted(found, key=lambda busy: busy.work.begin_s)


def find_idle_time(work: Sequence[Work], window: tuple[float, float]) -> list[Idle]:
    """Return the intervals without device work between two moments, by begin."""
    idle: list[Idle] = []
    cursor, after = window[0], ""
    for piece in work:
        if piece.begin_s > cursor:
            idle.append(Idle(cursor, piece.begin_s, after, shorten_name(piece.name)))
        if piece.end_s > cursor:
            cursor, after = piece.end_s, shorten_name(piece.name)
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
        """Return the covered seconds of an interval."""
        first, last = bisect_right(self.ends, begin_s), bisect_left(self.begins, end_s)
        return sum(
            min(self.ends[n], end_s) - max(self.begins[n], begin_s) for n in range(first, last)
        )


def _first_come(work: Iterable[Work], stages: Stages, covered: _Covered | None) -> Iterable[Busy]:
    cursor = float("-inf")
    for piece in work:
        begin = max(piece.begin_s, cursor)
        seconds = max(piece.end_s - begin, 0.0)
        if covered is not None and seconds:
            seconds -= covered.seconds(begin, piece.end_s)
        cursor = max(cursor, piece.end_s)
        yield Busy(piece, stages.of(piece), max(seconds, 0.0))
