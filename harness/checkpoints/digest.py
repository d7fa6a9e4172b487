"""sha256 digests of weight files, cached until a file changes."""

import hashlib
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.checkpoints.cache import keep, read_kept

_KEPT_FROM_BYTES = 2**20
"""Reading a smaller file is faster than looking up its cached digest."""
_STABLE_NS = 2_000_000_000
"""Coarsest file times (FAT): a file that changed within this time may change again unnoticed."""
_THREADS = 4


def digest_files(files: Mapping[str, Path]) -> str:
    """Return a sha256 over names and contents of files, independent of their location."""
    names = sorted(files)
    with ThreadPoolExecutor(_THREADS) as threads:
        digests = threads.map(digest_file, (files[name] for name in names))
    lines = "".join(f"{name}\0{digest}\n" for name, digest in zip(names, digests, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content.

    A digest is cached with the file's size, inode and times, and reused while they are the same.
    They include ctime, which programs cannot set back.
    """
    before = read_file_state(path)
    if before[0] < _KEPT_FROM_BYTES:
        return _read(path)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    kept = read_kept("digests", name)
    if isinstance(kept, dict) and kept.get("state") == before:
        return str(kept["sha256"])
    digest = _read(path)
    if is_stable(before) and read_file_state(path) == before:
        keep("digests", name, {"state": before, "sha256": digest})
    return digest


def read_file_state(path: Path) -> list[int]:
    """Return size, inode, device, mtime and ctime: what changes when a file changes."""
    state = path.stat()
    return [state.st_size, state.st_ino, state.st_dev, state.st_mtime_ns, state.st_ctime_ns]


def is_stable(state: Sequence[int]) -> bool:
    """Return whether a file last changed long enough ago for its times to show the next change."""
    return time.time_ns() - max(state[3:]) > _STABLE_NS


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
