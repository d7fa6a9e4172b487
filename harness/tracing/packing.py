"""A profiler's plain JSON made small: read event by event, never whole, and gzipped for Perfetto."""

import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from harness.tracing.chrome import RawEvent, open_trace

MOST_BYTES = 32 * 2**20
"""No trace on disk is larger."""

KEPT = ("schemaVersion", "displayTimeUnit", "baseTimeNanoseconds", "deviceProperties")
"""Of what stands before the events; the rest names this machine and its folders."""


class TooLarge(Exception):
    """A trace does not fit, whatever is left out."""


class Packed(NamedTuple):
    """What came of packing: events by category, and a sentence on what was left out (empty: nothing)."""

    categories: Counter[str]
    note: str


def _all(event: RawEvent) -> bool:
    return True


def _without_arrows(event: RawEvent) -> bool:
    return event.get("cat") not in ("ac2g", "async_cpu_to_gpu", "fwdbwd", "python_function")


def _without_short_operators(event: RawEvent) -> bool:
    return _without_arrows(event) and not (event.get("cat") == "cpu_op" and event.get("dur", 0) < 20)


LEVELS: tuple[tuple[Callable[[RawEvent], bool], str], ...] = (
    (_all, ""),
    (_without_arrows, "left out to keep it small: the arrows from launches to kernels"),
    (_without_short_operators, "left out to keep it small: arrows, and operators of less than 20 µs on the host"),
)


def pack(plain: Path, target: Path, most_bytes: int = MOST_BYTES) -> Packed:
    """Write a Chrome trace gzipped, an event a line, leaving out what matters least until it fits.

    Raises TooLarge if nothing helps, ValueError if `plain` ends early, OSError as the disk does.
    """
    for wanted, note in LEVELS:
        categories = _pack(plain, target, wanted, most_bytes)
        if categories is not None:
            return Packed(categories, note)
    raise TooLarge(f"larger than {most_bytes / 2**20:.3g} MiB even without small events")


def _pack(plain: Path, target: Path, wanted: Callable[[RawEvent], bool], most_bytes: int) -> Counter[str] | None:
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
    """Return the fields before the events that are kept."""
    fields = json.loads(before + '"traceEvents": []}')
    return {name: fields[name] for name in KEPT if name in fields}
