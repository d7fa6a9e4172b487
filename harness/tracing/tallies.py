"""Counts of waits, copies, casts and compilations, their duration, and their cost by stage."""

import re
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from harness.core.trace import STAGE, Tally, Waits
from harness.core.units import Absent
from harness.tracing.activity import Busy, Idle, Stages
from harness.tracing.chrome_trace import Event
from harness.tracing.intervals import Track, innermost
from harness.tracing.work import TraceWork

_DENOISER = f"{STAGE}denoiser"
_COMPILATION = "_compile.compile_inner (dynamo_timed)"
_COMPILED = re.compile(r"dynamo|Torch-Compiled Region|CompiledFxGraph", re.IGNORECASE)
_CAST = re.compile(r"direct_copy_kernel.*WithCast|float\w*_copy_kernel")


def count_waits(seen: TraceWork, stages: Stages, idle: Sequence[Idle]) -> Waits:
    """Return how often the host waited for the device, and the idle time in the denoising loop."""
    found = [event for event in seen.runtime if "Synchronize" in event.name]
    calls = [event for event in seen.ranges if event.name == _DENOISER]
    begin, end = (calls[0].begin_s, calls[-1].end_s) if calls else (0.0, 0.0)
    in_loop = [event for event in found if begin <= event.begin_s < end]
    asking = Track(innermost(_outermost(seen.operators)))
    callers = Counter(
        asked.name if (asked := asking.at(event.begin_s)) else "Python"
        for event in in_loop or found
    )
    begins = [gap.begin_s for gap in idle]
    places = {bisect_right(begins, event.end_s) - 1: event.end_s for event in in_loop}
    left = [
        idle[place] for place, moment in places.items() if place >= 0 and idle[place].end_s > moment
    ]
    return Waits(
        count=len(found),
        total_s=_seconds(found),
        lost_s=_summed(part for gap in left for part in stages.during(gap.begin_s, gap.end_s)),
        in_loop=len(in_loop),
        idle_s=sum(gap.seconds for gap in left),
        callers=dict(callers.most_common(5)),
    )


def count_copies(busy: Iterable[Busy], direction: str) -> Tally:
    """Return the copies between host and GPU in one direction: `HtoD` or `DtoH`."""
    return _tally([piece for piece in busy if f"Memcpy {direction}" in piece.work.name])


def count_casts(seen: TraceWork, stages: Stages, busy: Iterable[Busy]) -> Tally:
    """Return the conversions between number formats that are separate kernels or operators.

    On a GPU: kernels launched by `aten::_to_copy`, or named as casts; on a CPU: calls of that
    operator.
    """
    asked = _outermost(event for event in seen.operators if event.name == "aten::_to_copy")
    if seen.device == "cpu":
        lost = _summed((stages.at(event.begin_s), event.end_s - event.begin_s) for event in asked)
        return Tally(count=len(asked), total_s=_seconds(asked), lost_s=lost)
    inside = Track(innermost(asked))

    def is_cast(piece: Busy) -> bool:
        launched_s = piece.work.launched_s
        return _CAST.search(piece.work.name) is not None or (
            launched_s is not None and inside.at(launched_s) is not None
        )

    return _tally([piece for piece in busy if not piece.work.is_copy and is_cast(piece)])


def count_recompiles(seen: TraceWork) -> int | Absent:
    """Return how often dynamo compiled during the call."""
    if not any(_COMPILED.search(event.name) for event in (*seen.operators, *seen.ranges)):
        return Absent(absent="nothing that torch.compile made ran in this call")
    return len(_compilations(seen))


def sum_compiling_s(seen: TraceWork, stages: Stages) -> dict[str, float]:
    """Return the seconds in which dynamo compiled, by stage."""
    return _summed(
        (stages.at(event.begin_s), event.end_s - event.begin_s) for event in _compilations(seen)
    )


def _compilations(seen: TraceWork) -> list[Event]:
    return [event for event in (*seen.operators, *seen.ranges) if event.name == _COMPILATION]


def _tally(pieces: Sequence[Busy]) -> Tally:
    return Tally(
        count=len(pieces),
        total_s=sum(piece.work.end_s - piece.work.begin_s for piece in pieces),
        size_bytes=sum(piece.work.size_bytes for piece in pieces),
        lost_s=_summed((piece.stage, piece.seconds) for piece in pieces),
    )


def _summed(parts: Iterable[tuple[str, float]]) -> dict[str, float]:
    sums: defaultdict[str, float] = defaultdict(float)
    for stage, seconds in parts:
        sums[stage] += seconds
    return {stage: seconds for stage, seconds in sums.items() if seconds}


def _outermost(events: Iterable[Event]) -> list[Event]:
    """Return the events that are not inside another one of the same thread."""
    ends: dict[str, float] = {}
    kept = []
    for event in sorted(events, key=lambda event: (event.begin_s, -event.end_s)):
        if event.begin_s >= ends.get(event.thread, 0.0):
            kept.append(event)
            ends[event.thread] = event.end_s
    return kept


def _seconds(events: Iterable[Event]) -> float:
    return sum(event.end_s - event.begin_s for event in events)
