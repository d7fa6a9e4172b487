"""Digests of weight files: the sha256 of all their bytes, read once for every state of a file."""

import hashlib
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from harness.checkpoints.cache import keep, read_kept

_KEPT_FROM_BYTES = 2**20
"""Smaller files are read faster than a kept digest is found."""
_STABLE_NS = 2_000_000_000
"""File systems tell times this coarsely at worst (FAT): a file may change again without another time."""
_THREADS = 4


def digest_files(files: Mapping[str, Path]) -> str:
    """Return a sha256 that changes when the content or the name of any file changes, wherever the files lie."""
    names = sorted(files)
    with ThreadPoolExecutor(_THREADS) as threads:
        digests = threads.map(digest_file, (files[name] for name in names))
    lines = "".join(f"{name}\0{digest}\n" for name, digest in zip(names, digests, strict=True))
    return hashlib.sha256(lines.encode()).hexdigest()


def digest_file(path: Path) -> str:
    """Return the sha256 of a file's content.

    A digest is kept with the file's size, inode and times of change, and is used again while they are the same. The
    time of the last change of status is among them: it moves whatever a program does to the other time.
    """
    before = _state(path)
    if before[0] < _KEPT_FROM_BYTES:
        return _read(path)
    name = hashlib.sha256(os.fsencode(path.resolve())).hexdigest()
    kept = read_kept("digests", name)
    if isinstance(kept, dict) and kept.get("state") == before:
        return str(kept["sha256"])
    digest = _read(path)
    stable = time.time_ns() - max(before[3:]) > _STABLE_NS
    if stable and _state(path) == before:
        keep("digests", name, {"state": before, "sha256": digest})
    return digest


def _state(path: Path) -> list[int]:
    state = path.stat()
    return [state.st_size, state.st_ino, state.st_dev, state.st_mtime_ns, state.st_ctime_ns]


def _read(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
