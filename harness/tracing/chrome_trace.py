"""Chrome traces of torch.profiler: decoded event by event, and packed for Perfetto.

A trace is never in memory as a whole: memory is bounded by the events that count.
"""

import gzip
import json
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from math import isfinite
from pathlib import Path
from typing import IO, Any, Literal, NamedTuple

from harness.core.errors import ResultsError

CHUNK = 1 << 20
RawEvent = dict[str, Any]

_GAP = re.compile(r"[\s,]*")
_BEGIN = re.compile(r'"traceEvents"\s*:\s*\[|\A\s*\[')


def open_trace(source: IO[str]) -> tuple[str, Iterator[RawEvent]]:
    """Return the text before the list of events, and its events.

    Raises ValueError where the trace is damaged or ends early.
    """
    text = source.read(CHUNK)
    while (begin := _BEGIN.search(text)) is None:
        if not (more := source.read(CHUNK)):
            raise ValueError("it is not a trace of torch.profiler")
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
                raise  # no event is as large: more text would not help
            text, place = text[place:] + more, 0
        else:
            yield event


Kind = Literal["operator", "device", "runtime", "range", "device-range", "overhead"]

_KINDS: dict[str, Kind] = {
    "cpu_op": "operator",
    "kernel": "device",
    "gpu_memcpy": "device",
    "gpu_memset": "device",
    "cuda_runtime": "runtime",
    "cuda_driver": "runtime",
    "user_annotation": "range",
    "gpu_user_annotation": "device-range",
    "overhead": "overhead",
}
"""By the profiler's category; events of other categories (flows, Python frames, counters) are not
read."""


class Event(NamedTuple):
    """An event; `thread` is a process and thread of the host, or a device and stream.

    `correlation` is equal at a launch and at the work that it launched, 0 without one.
    """

    kind: Kind
    name: str
    begin_s: float
    end_s: float
    thread: str
    correlation: int = 0
    size_bytes: int = 0


def read_events(path: Path) -> list[Event]:
    """Return the events of a trace (.json or .json.gz) by begin; times are relative to the first.

    Raises ResultsError for a file that is missing, damaged, ends early, or is not a trace.
    """
    try:
        with (
            gzip.open(path, "rt", encoding="utf-8")
            if _is_gzip(path)
            else path.open(encoding="utf-8") as source
        ):
            _, raws = open_trace(source)
            events = [event for raw in raws if (event := _event(raw)) is not None]
    except KeyError as error:
        raise _damaged(path, f"an event has no {error}") from error
    except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    if not events:
        raise _damaged(path, "it contains no timed event")
    first = min(event.begin_s for event in events)
    events.sort(key=lambda event: (event.begin_s, -event.end_s))
    return [
        event._replace(begin_s=event.begin_s - first, end_s=event.end_s - first) for event in events
    ]


def _damaged(path: Path, reason: str) -> ResultsError:
    return ResultsError(
        f"the trace cannot be read: {reason}", str(path), "Take it again: harness profile RUN CELL"
    )


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as source:
        return source.read(2) == b"\x1f\x8b"


def _event(raw: RawEvent) -> Event | None:
    """Return an event in seconds, or None for one that does not count."""
    kind = _KINDS.get(raw.get("cat", ""))
    if kind is None or raw.get("ph") != "X":
        return None
    begin_s, seconds, args = (
        float(raw["ts"]) / 1e6,
        float(raw.get("dur", 0)) / 1e6,
        raw.get("args") or {},
    )
    if not isfinite(begin_s + seconds):
        raise ValueError("an event's time is not a finite number")
    return Event(
        kind,
        sys.intern(str(raw["name"])),
        begin_s,
        begin_s + max(seconds, 0.0),
        sys.intern(f"{raw.get('pid')} {raw.get('tid')}"),
        int(args.get("correlation") or 0),
        int(args.get("bytes") or 0) if kind == "device" else 0,
    )


MOST_BYTES = 32 * 2**20
"""Largest size of a trace on disk."""

KEPT = ("schemaVersion", "displayTimeUnit", "baseTimeNanoseconds", "deviceProperties")
"""Fields kept of those before the events; the others name this machine and its folders."""


class TooLarge(Exception):
    """A trace exceeds the size limit, whatever is left out."""


class Packed(NamedTuple):
    """Events written, by category, and a sentence on what was left out (empty: nothing)."""

    categories: Counter[str]
    note: str


def _all(event: RawEvent) -> bool:
    return True


def _without_arrows(event: RawEvent) -> bool:
    return event.get("cat") not in ("ac2g", "async_cpu_to_gpu", "fwdbwd", "python_function")


def _without_short_operators(event: RawEvent) -> bool:
    return _without_arrows(event) and not (
        event.get("cat") == "cpu_op" and event.get("dur", 0) < 20
    )


LEVELS: tuple[tuple[Callable[[RawEvent], bool], str], ...] = (
    (_all, ""),
    (_without_arrows, "left out to keep it small: the arrows from launches to kernels"),
    (
        _without_short_operators,
        "left out to keep it small: arrows, and operators of less than 20 µs on the host",
    ),
)


def pack(plain: Path, target: Path, most_bytes: int = MOST_BYTES) -> Packed:
    """Write a Chrome trace gzipped, one event per line, leaving out minor events if needed.

    Raises TooLarge if that is not enough, ValueError if `plain` ends early, OSError as the disk
    does.
    """
    for wanted, note in LEVELS:
        categories = _pack(plain, target, wanted, most_bytes)
        if categories is not None:
            return Packed(categories, note)
    raise TooLarge(f"larger than {most_bytes / 2**20:.3g} MiB even without small events")


def _pack(
    plain: Path, target: Path, wanted: Callable[[RawEvent], bool], most_bytes: int
) -> Counter[str] | None:
    """Return the events written by category, or None if they are too many."""
    categories: Counter[str] = Counter()
    with plain.open(encoding="utf-8", errors="replace") as source, target.open("wb") as raw:
        with gzip.open(raw, "wt", compresslevel=6, encoding="utf-8") as file:
            before, events = open_trace(source)
            file.write(json.dumps({**_head(before), "traceEvents": []})[:-2] + "\n")
            for number, event in enumerate(filter(wanted, events)):
                categories[str(event.get("cat", ""))] += 1
                file.write((",\n" if number else "") + json.dumps(event, separators=(",", ":")))
                if raw.tell() > most_bytes:
                    return None
            file.write("\n]}\n")
        return categories if raw.tell() <= most_bytes else None


def _head(before: str) -> dict[str, Any]:
    """Return the kept fields before the events."""
    fields = json.loads(before + '"traceEvents": []}')
    return {name: fields[name] for name in KEPT if name in fields}
