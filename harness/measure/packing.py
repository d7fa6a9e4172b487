"""A profiler's plain JSON made small: read event by event, never whole, and gzipped for Perfetto."""

import gzip
import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

MOST_BYTES = 32 * 2**20
"""No trace on disk is larger."""

CHUNK = 2**20
START = '"traceEvents":'
KEPT = ("schemaVersion", "displayTimeUnit", "baseTimeNanoseconds", "deviceProperties")
"""Of what stands before the events; the rest names this machine and its folders."""

Event = dict[str, Any]


class TooLarge(Exception):
    """A trace does not fit, whatever is left out."""


class Packed(NamedTuple):
    """What came of packing: events by category, and a sentence on what was left out (empty: nothing)."""

    categories: Counter[str]
    note: str


def _all(event: Event) -> bool:
    return True


def _without_arrows(event: Event) -> bool:
    return event.get("cat") not in ("ac2g", "async_cpu_to_gpu", "fwdbwd", "python_function")


def _without_short_operators(event: Event) -> bool:
    return _without_arrows(event) and not (event.get("cat") == "cpu_op" and event.get("dur", 0) < 20)


LEVELS: tuple[tuple[Callable[[Event], bool], str], ...] = (
    (_all, ""),
    (_without_arrows, "left out to keep it small: the arrows from launches to kernels"),
    (_without_short_operators, "left out to keep it small: arrows, and operators of less than 20 µs on the host"),
)


def pack(plain: Path, target: Path, most_bytes: int = MOST_BYTES) -> Packed:
    """Write a Chrome trace gzipped, an event a line, leaving out what matters least until it fits.

    Raises TooLarge if nothing helps, ValueError if `plain` is cut short, OSError as the disk does.
    """
    for wanted, note in LEVELS:
        categories = _pack(plain, target, wanted, most_bytes)
        if categories is not None:
            return Packed(categories, note)
    raise TooLarge(f"larger than {most_bytes / 2**20:.3g} MiB even without small events")


def _pack(plain: Path, target: Path, wanted: Callable[[Event], bool], most_bytes: int) -> Counter[str] | None:
    """Return the events written by category, or None if they are too many."""
    categories: Counter[str] = Counter()
    with plain.open(encoding="utf-8", errors="replace") as source, target.open("wb") as raw:
        with gzip.open(raw, "wt", compresslevel=6, encoding="utf-8") as file:
            head, rest = _head(source)
            file.write(json.dumps({**head, "traceEvents": []})[:-2] + "\n")
            for number, event in enumerate(filter(wanted, _events(source, rest))):
                categories[str(event.get("cat", ""))] += 1
                file.write((",\n" if number else "") + json.dumps(event, separators=(",", ":")))
                if raw.tell() > most_bytes:
                    return None
            file.write("\n]}\n")
        return categories if raw.tell() <= most_bytes else None


def _head(source: TextIO) -> tuple[dict[str, Any], str]:
    """Return what stands before the events, and the text read after it."""
    before, found, rest = source.read(CHUNK).partition(START)
    if not found:
        raise ValueError("the profiler's file is cut short")
    fields = json.loads(before + START + "[]}")
    return {name: fields[name] for name in KEPT if name in fields}, rest


def _events(source: TextIO, text: str) -> Iterator[Event]:
    """Yield the elements of the array that `text`, then `source`, begin with; ValueError if it does not end."""
    decoder = json.JSONDecoder()
    text, place = text.lstrip().removeprefix("["), 0
    while True:
        while place < len(text) and text[place] in " \t\r\n,":
            place += 1
        if text[place : place + 1] == "]":
            return
        try:
            event, place = decoder.raw_decode(text, place)
        except ValueError:
            more = source.read(CHUNK)
            if not more:
                raise ValueError("the profiler's file is cut short") from None
            text, place = text[place:] + more, 0
            continue
        yield event
