"""Read a Chrome trace of torch.profiler, event by event: memory is bounded by the events that count."""

import gzip
import sys
import zlib
from math import isfinite
from pathlib import Path
from typing import Literal, NamedTuple

from harness.core.errors import ResultsError
from harness.tracing.chrome import RawEvent, open_trace

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
"""By the profiler's category; events of others (flows, Python frames, counters) say nothing that is read here."""


class Event(NamedTuple):
    """One event with a duration; `thread` is a process and thread of the host, or a device and stream.

    `correlation` is the same number at a launch and at what it launched, 0 at what has none.
    """

    kind: Kind
    name: str
    begin_s: float
    end_s: float
    thread: str
    correlation: int = 0
    size_bytes: int = 0


def read_events(path: Path) -> list[Event]:
    """Return the events of a trace (.json or .json.gz) in order of their begin; times count from the first.

    Raises ResultsError for a file that is missing, damaged, ends early, or holds no trace.
    """
    try:
        with gzip.open(path, "rt", encoding="utf-8") if _is_gzip(path) else path.open(encoding="utf-8") as source:
            _, raws = open_trace(source)
            events = [event for raw in raws if (event := _event(raw)) is not None]
    except KeyError as error:
        raise _damaged(path, f"an event has no {error}") from error
    except (OSError, EOFError, zlib.error, ValueError, TypeError, AttributeError) as error:
        raise _damaged(path, str(error)) from error
    if not events:
        raise _damaged(path, "there is nothing in it that was timed")
    first = min(event.begin_s for event in events)
    events.sort(key=lambda event: (event.begin_s, -event.end_s))
    return [event._replace(begin_s=event.begin_s - first, end_s=event.end_s - first) for event in events]


def _damaged(path: Path, reason: str) -> ResultsError:
    return ResultsError(f"the trace cannot be read: {reason}", str(path), "Take it again: harness profile RUN CELL")


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as source:
        return source.read(2) == b"\x1f\x8b"


def _event(raw: RawEvent) -> Event | None:
    """Return what counts of one event; microseconds become seconds."""
    kind = _KINDS.get(raw.get("cat", ""))
    if kind is None or raw.get("ph") != "X":
        return None
    begin_s, seconds, args = float(raw["ts"]) / 1e6, float(raw.get("dur", 0)) / 1e6, raw.get("args") or {}
    if not isfinite(begin_s + seconds):
        raise ValueError("an event's time is no number")
    return Event(
        kind,
        sys.intern(str(raw["name"])),
        begin_s,
        begin_s + max(seconds, 0.0),
        sys.intern(f"{raw.get('pid')} {raw.get('tid')}"),
        int(args.get("correlation") or 0),
        int(args.get("bytes") or 0) if kind == "device" else 0,
    )
