"""Nested and overlapping intervals, cut into pieces that do not overlap."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.tracing.chrome_trace import Event


class EventSlice(NamedTuple):
    """An interval in which an event was innermost; `first` marks its first piece."""

    event: Event
    begin_s: float
    end_s: float
    first: bool


def innermost(events: Iterable[Event]) -> list[EventSlice]:
    """Cut the nested events of each thread so that every moment belongs to the innermost.

    Returns the pieces of all threads by begin.
    """
    threads: dict[str, list[Event]] = {}
    for event in events:
        threads.setdefault(event.thread, []).append(event)
    found = [piece for own in threads.values() for piece in _of_one_thread(own)]
    found.sort(key=lambda piece: piece.begin_s)
    return found


class _Open:
    """An event that contains the current moment; it ends with its parent at the latest."""

    __slots__ = ("end_s", "event", "first")

    def __init__(self, event: Event, end_s: float) -> None:
        self.event, self.end_s, self.first = event, end_s, True


def _of_one_thread(events: list[Event]) -> list[EventSlice]:
    pieces: list[EventSlice] = []
    stack: list[_Open] = []
    cursor = 0.0
    events.sort(key=lambda event: (event.begin_s, -event.end_s))
    for event in events:
        while stack and stack[-1].end_s <= event.begin_s:
            cursor = _cut(pieces, stack.pop(), cursor, None)
        if stack:
            cursor = _cut(pieces, stack[-1], cursor, event.begin_s)
        cursor = max(cursor, event.begin_s)
        stack.append(_Open(event, min(event.end_s, stack[-1].end_s) if stack else event.end_s))
    while stack:
        cursor = _cut(pieces, stack.pop(), cursor, None)
    return pieces


def _cut(pieces: list[EventSlice], top: _Open, cursor: float, until: float | None) -> float:
    """Add the innermost event's piece from the cursor to a moment; return the new cursor."""
    end_s = top.end_s if until is None else until
    if end_s <= cursor:
        return cursor
    pieces.append(EventSlice(top.event, cursor, end_s, top.first))
    top.first = False
    return end_s


class Track:
    """Pieces that do not overlap, searchable by time."""

    def __init__(self, pieces: Iterable[EventSlice]) -> None:
        self._pieces = list(pieces)
        self._begins = [piece.begin_s for piece in self._pieces]

    def at(self, moment_s: float) -> Event | None:
        """Return the event at a moment, or None."""
        place = bisect_right(self._begins, moment_s) - 1
        if place < 0 or self._pieces[place].end_s <= moment_s:
            return None
        return self._pieces[place].event

    def during(self, begin_s: float, end_s: float) -> Iterator[tuple[Event | None, float]]:
        """Yield the events between two moments, each with its seconds; None for none."""
        first, last = (
            max(bisect_right(self._begins, begin_s) - 1, 0),
            bisect_left(self._begins, end_s),
        )
        cursor = begin_s
        for place in range(first, last):
            piece = self._pieces[place]
            begin, end = max(piece.begin_s, cursor), min(piece.end_s, end_s)
            if end > begin:
                if begin > cursor:
                    yield None, begin - cursor
                yield piece.event, end - begin
                cursor = end
        if end_s > cursor:
            yield None, end_s - cursor
