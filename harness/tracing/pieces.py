"""Nested and overlapping intervals cut into pieces that lie beside each other."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from harness.tracing.parse import Event


class Piece(NamedTuple):
    """A stretch of time in which an event was the innermost; `first` of each event's pieces."""

    event: Event
    begin_s: float
    end_s: float
    first: bool


def innermost(events: Iterable[Event]) -> list[Piece]:
    """Cut the nested events of each thread into pieces, so that every moment belongs to the innermost one.

    Returns the pieces of all threads in order of their begin.
    """
    threads: dict[object, list[Event]] = {}
    for event in events:
        threads.setdefault(event.thread, []).append(event)
    found = [piece for own in threads.values() for piece in _of_one_thread(own)]
    return sorted(found, key=lambda piece: piece.begin_s)


def _of_one_thread(events: list[Event]) -> Iterator[Piece]:
    stack: list[tuple[Event, float]] = []  # with its end, at most that of the event around it
    seen: set[int] = set()
    cursor = 0.0

    def cut(end_s: float) -> Iterator[Piece]:
        nonlocal cursor
        event, _ = stack[-1]
        if end_s > cursor:
            yield Piece(event, cursor, end_s, id(event) not in seen)
            seen.add(id(event))
        cursor = max(cursor, end_s)

    for event in sorted(events, key=lambda event: (event.begin_s, -event.end_s)):
        while stack and stack[-1][1] <= event.begin_s:
            yield from cut(stack[-1][1])
            stack.pop()
        if stack:
            yield from cut(event.begin_s)
        cursor = max(cursor, event.begin_s)
        stack.append((event, min(event.end_s, stack[-1][1]) if stack else event.end_s))
    while stack:
        yield from cut(stack[-1][1])
        stack.pop()


class Track:
    """Pieces that do not overlap, to be asked what is there at a moment or during a stretch of time."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._pieces = list(pieces)
        self._begins = [piece.begin_s for piece in self._pieces]

    def at(self, moment_s: float) -> Event | None:
        """Return the event that is there at a moment, or None."""
        place = bisect_right(self._begins, moment_s) - 1
        if place < 0 or self._pieces[place].end_s <= moment_s:
            return None
        return self._pieces[place].event

    def during(self, begin_s: float, end_s: float) -> Iterator[tuple[Event | None, float]]:
        """Return the events that are there between two moments, each with its seconds; None: nothing is there."""
        first, last = max(bisect_right(self._begins, begin_s) - 1, 0), bisect_left(self._begins, end_s)
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
