"""The bars of a trace's timeline: stages, steps and regions, on the device's time where it worked for them."""

from bisect import bisect_left
from typing import Literal

from harness.core.trace import REGION, STAGE, STEP, Span
from harness.tracing.host import CALL
from harness.tracing.parse import Event
from harness.tracing.work import Seen

_MOST = 400
_KINDS: tuple[tuple[str, Literal["stage", "step", "region"]], ...] = (
    (STAGE, "stage"),
    (STEP, "step"),
    (REGION, "region"),
)


def timeline(seen: Seen, begin_s: float) -> tuple[tuple[Span, ...], int]:
    """Return the ranges that harness put into the trace, outer before inner, and how many are left out.

    On a GPU a bar goes from the first to the last moment at which the device worked for what was launched in it: the
    host runs ahead. A range that launched nothing lies where the host was. Times count from `begin_s`. Of very many
    the shortest are left out, which are never those around others.
    """
    ours = [
        (event, kind)
        for event in seen.ranges
        for prefix, kind in _KINDS
        if event.name.startswith(prefix) and event.name != CALL
    ]
    placed = _Placed(seen)
    spans: list[Span] = []
    around: list[tuple[Event, Span]] = []
    for event, kind in ours:
        while around and around[-1][0].end_s <= event.begin_s:
            around.pop()
        begin, end = placed.extent(event)
        if around:
            outer = around[-1][1]
            begin, end = max(begin, outer.begin_s + begin_s), min(end, outer.begin_s + begin_s + outer.seconds)
        if end <= begin:
            continue
        name = event.name.split(":", 1)[1]
        span = Span(
            kind=kind,
            name=f"step {name}" if kind == "step" else name,
            begin_s=begin - begin_s,
            seconds=end - begin,
            depth=len(around),
        )
        spans.append(span)
        around.append((event, span))
    longest = sorted(spans, key=lambda span: (-span.seconds, span.depth))[:_MOST]
    return tuple(sorted(longest, key=lambda span: (span.begin_s, span.depth))), len(spans) - len(longest)


class _Placed:
    """Where the work lies that was launched in a range."""

    def __init__(self, seen: Seen) -> None:
        self._device = seen.device
        work = sorted((work for work in seen.work if work.launched_s is not None), key=lambda work: work.asked_s)
        self._launched = [work.asked_s for work in work]
        self._work = work

    def extent(self, event: Event) -> tuple[float, float]:
        first, last = bisect_left(self._launched, event.begin_s), bisect_left(self._launched, event.end_s)
        if self._device == "cpu" or first == last:
            return event.begin_s, event.end_s
        own = self._work[first:last]
        return min(work.begin_s for work in own), max(work.end_s for work in own)
