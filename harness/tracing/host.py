"""What the host did: the stage it was in, its waits for the device, its conversions and compilations."""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from harness.core.trace import BETWEEN, REGION, STAGE, STEP, Tally, Waits
from harness.core.units import Absent
from harness.tracing.parse import Event
from harness.tracing.pieces import Track, innermost
from harness.tracing.work import Seen, Work

DENOISER = "denoiser"
CALL = f"{REGION}call"
"""The range around the whole traced call, where there is one."""
_COMPILATION = "_compile.compile_inner (dynamo_timed)"
_COMPILED = re.compile(r"dynamo|Torch-Compiled Region|CompiledFxGraph", re.IGNORECASE)
_CAST = re.compile(r"direct_copy_kernel.*WithCast|float\w*_copy_kernel")


class Idle(NamedTuple):
    """A stretch in which the device had nothing to do, and the work before and after it."""

    begin_s: float
    end_s: float
    after: str
    before: str

    @property
    def seconds(self) -> float:
        return self.end_s - self.begin_s


def is_ours(event: Event) -> bool:
    """Return whether a range was put into the trace by harness."""
    return event.name.startswith((STAGE, STEP, REGION))


class Stages:
    """Which stage the host was in, and so to which stage a piece of work belongs."""

    def __init__(self, seen: Seen) -> None:
        self._host = Track(innermost(event for event in seen.ranges if event.name.startswith(STAGE)))
        self._device = Track(innermost(event for event in seen.device_ranges if event.name.startswith(STAGE)))

    def at(self, moment_s: float) -> str:
        return _stage(self._host.at(moment_s))

    def of(self, work: Work) -> str:
        """The stage that launched it; where the launch is not in the trace, the stage that ran on the device."""
        if work.launched_s is not None:
            return self.at(work.launched_s)
        return _stage(self._device.at(work.begin_s))

    def during(self, begin_s: float, end_s: float) -> list[tuple[str, float]]:
        """Return the stages between two moments with their seconds."""
        return [(_stage(event), seconds) for event, seconds in self._host.during(begin_s, end_s)]


def _stage(event: Event | None) -> str:
    return event.name.removeprefix(STAGE) if event else BETWEEN


class Doing:
    """What the host did in some stretches of time, in words."""

    def __init__(self, seen: Seen, stretches: Sequence[Idle]) -> None:
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
        """Return the two things that took longest: `Python 62 %, aten::copy_ 31 %`."""
        shares: defaultdict[str, float] = defaultdict(float)
        for event, seconds in self._track.during(begin_s, end_s):
            shares[event.name if event else "Python"] += seconds / (end_s - begin_s)
        most = sorted(shares.items(), key=lambda pair: -pair[1])[:2]
        return ", ".join(f"{name} {share * 100:.0f} %" for name, share in most if share >= 0.05)


def waits(seen: Seen, idle: Sequence[Idle]) -> Waits:
    """Return how often the host waited for the device, and what that left idle between the denoiser's calls."""
    found = [event for event in seen.runtime if "Synchronize" in event.name]
    calls = [event for event in seen.ranges if event.name == STAGE + DENOISER]
    begin, end = (calls[0].begin_s, calls[-1].end_s) if calls else (0.0, 0.0)
    in_loop = [event for event in found if begin <= event.begin_s < end]
    asking = Track(innermost(_outermost(seen.operators)))
    callers = Counter(asked.name if (asked := asking.at(event.begin_s)) else "Python" for event in in_loop or found)
    begins = [gap.begin_s for gap in idle]
    places = {bisect_right(begins, event.end_s) - 1: event.end_s for event in in_loop}
    left = (idle[place] for place, moment in places.items() if place >= 0 and idle[place].end_s > moment)
    return Waits(
        count=len(found),
        total_s=_seconds(found),
        in_loop=len(in_loop),
        idle_s=sum(gap.seconds for gap in left),
        callers=dict(callers.most_common(5)),
    )


def copies(seen: Seen, direction: str) -> Tally:
    """Return the copies between host and GPU in one direction: `HtoD` or `DtoH`."""
    moved = [work for work in seen.work if seen.device == "cuda" and f"Memcpy {direction}" in work.name]
    return Tally(
        count=len(moved),
        total_s=sum(work.end_s - work.begin_s for work in moved),
        size_bytes=sum(work.size_bytes for work in moved),
    )


def casts(seen: Seen) -> Tally:
    """Return the conversions between number formats that are a kernel or an operator of their own.

    On a GPU those kernels that `aten::_to_copy` launched or whose name says so; on a CPU the calls of that operator.
    """
    asked = _outermost(event for event in seen.operators if event.name == "aten::_to_copy")
    if seen.device == "cpu":
        return Tally(count=len(asked), total_s=_seconds(asked))
    inside = Track(innermost(asked))
    cast = [
        work
        for work in seen.work
        if not work.is_copy
        and (_CAST.search(work.name) or (work.launched_s is not None and inside.at(work.launched_s)))
    ]
    return Tally(count=len(cast), total_s=sum(work.end_s - work.begin_s for work in cast))


def recompiles(seen: Seen) -> int | Absent:
    """Return how often dynamo compiled something during the call."""
    names = Counter(event.name for event in (*seen.operators, *seen.ranges))
    if not any(_COMPILED.search(name) for name in names):
        return Absent(absent="nothing that torch.compile made ran in this call")
    return names[_COMPILATION]


def _outermost(events: Iterable[Event]) -> list[Event]:
    """Return the events that lie in no other of the same thread."""
    ends: dict[str, float] = {}
    kept = []
    for event in sorted(events, key=lambda event: (event.begin_s, -event.end_s)):
        if event.begin_s >= ends.get(event.thread, 0.0):
            kept.append(event)
            ends[event.thread] = event.end_s
    return kept


def _seconds(events: Iterable[Event]) -> float:
    return sum(event.end_s - event.begin_s for event in events)
