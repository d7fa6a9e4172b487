"""Decode a Chrome trace event by event, so that memory never holds the whole."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

CHUNK = 1 << 20
RawEvent = dict[str, Any]

_GAP = re.compile(r"[\s,]*")
_BEGIN = re.compile(r'"traceEvents"\s*:\s*\[|\A\s*\[')


def open_trace(source: IO[str]) -> tuple[str, Iterator[RawEvent]]:
    """Return the text before the list of events, and its events; ValueError where it is damaged or ends early."""
    text = source.read(CHUNK)
    while (begin := _BEGIN.search(text)) is None:
        if not (more := source.read(CHUNK)):
            raise ValueError("it is no trace of torch.profiler")
        text += more
    return text[: begin.start()], _events(source, text[begin.end() :])


def _events(source: IO[str], text: str) -> Iterator[RawEvent]:
    decode = json.JSONDecoder().raw_decode
    place = 0
    while True:
        if gap := _GAP.match(text, place):
            place = gap.end()
        if text[place : place + 1] == "]":
            return
        try:
            event, place = decode(text, place)
        except ValueError:
            more = source.read(CHUNK)
            if not more:
                raise ValueError("it ends in the middle of an event") from None
            if len(text) - place > 2 * CHUNK:
                raise  # no event is as large: more text will not mend it
            text, place = text[place:] + more, 0
        else:
            yield event
