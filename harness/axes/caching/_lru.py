"""Keep a folder of files to a size: those that were not used for longest go first."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

ABANDONED_S = 3600
"""A half-written file of this age belongs to a process that died."""


class Entry(NamedTuple):
    """A file as it was seen; entries sort by when they were last used, and by name where that is the same."""

    used_ns: int
    path: Path
    size: int


def evict_lru(folder: Path, limit_bytes: int) -> None:
    """Remove the least recently used files (by modification time) until `limit_bytes` are left at most.

    Processes may do so at the same time, without a lock: each sees the same order, so they remove the same files; one
    that was removed meanwhile counts as removed. Files being written (`.new`) stay, unless their process died.
    """
    entries = sorted(_entries(folder))
    total = sum(entry.size for entry in entries)
    for entry in entries:
        if total <= limit_bytes:
            return
        with suppress(OSError):  # another system may refuse while somebody reads it: it goes next time
            entry.path.unlink(missing_ok=True)
        total -= entry.size


def _entries(folder: Path) -> Iterator[Entry]:
    now = time.time()
    for path in folder.rglob("*.*"):
        try:
            seen = path.stat()
        except OSError:  # removed meanwhile
            continue
        if path.suffix != ".new":
            yield Entry(seen.st_mtime_ns, path, seen.st_size)
        elif now - seen.st_mtime > ABANDONED_S:
            yield Entry(0, path, seen.st_size)
