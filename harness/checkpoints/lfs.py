"""Git LFS pointers: the few lines of text that a clone without LFS has in place of a large file."""

import re
from collections.abc import Iterable
from pathlib import Path

from harness.core.errors import UsageError
from harness.core.units import format_bytes

_BEGIN = b"version https://git-lfs.github.com/spec/"
_MOST_BYTES = 1024
"""The specification allows no longer pointer."""


def refuse_pointers(paths: Iterable[Path]) -> None:
    """Raise UsageError for the first file that is a Git LFS pointer; files that cannot be read are skipped."""
    for path in paths:
        text = _pointer(path)
        if text:
            size = re.search(rb"^size (\d+)", text, re.MULTILINE)
            meant = f" of {format_bytes(int(size[1]))}" if size else ""
            fix = "Fetch the file itself: run `git lfs pull` in the clone, or download it with `hf download`."
            raise UsageError(f"this is a Git LFS pointer, not the file{meant} it stands for", str(path), fix)


def _pointer(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            return b""
        content = path.read_bytes()
    except OSError:
        return b""
    return content if content.startswith(_BEGIN) else b""
