"""Where multiprocessing keeps its sockets: in a folder of a short name."""

import os
import tempfile
from collections.abc import Iterator
from multiprocessing import util
from pathlib import Path

from harness.core.errors import MachineError

LONGEST = 104
"""Bytes that every system allows a socket's path: Linux 107, macOS 103, with the terminating 0."""

ADDED = len("/pymp-12345678/listener-12345678") + 1
"""What multiprocessing appends to the folder of temporary files."""


def keep_sockets_short() -> None:
    """Choose the folder of multiprocessing's sockets, once a process: TMPDIR, or a shorter one where that is too long.

    Raises MachineError where no short folder can be written.
    """
    usual = tempfile.tempdir
    for folder in _short_folders():
        try:
            tempfile.tempdir = folder
            util.get_temp_dir()  # makes it, and returns the same one from now on, also in workers
            return
        except OSError:
            continue
        finally:
            tempfile.tempdir = usual
    fix = "Set TMPDIR to a folder that can be written and has a short name."
    raise MachineError("the folder of temporary files has too long a name for sockets", tempfile.gettempdir(), fix)


def _short_folders() -> Iterator[str]:
    """Yield the folders to try, those with short enough names."""
    for folder in (tempfile.gettempdir(), os.environ.get("XDG_RUNTIME_DIR", ""), "/tmp", "/var/tmp", "/dev/shm"):
        if folder and Path(folder).is_absolute() and len(os.fsencode(folder)) + ADDED <= LONGEST:
            yield folder
