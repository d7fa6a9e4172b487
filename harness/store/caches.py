"""Cache folders of this user, shared by all runs; checked once, when needed."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from harness.core.errors import MachineError
from harness.core.parsing import CACHE_VARIABLE, cache_path


class Cache(NamedTuple):
    """A folder that can be written, and a caution where it lasts only as long as this process."""

    folder: Path
    caution: str = ""


_checked: dict[str, Cache] = {}


def find_cache() -> Cache:
    """Return the folder of caches: HARNESS_CACHE, the user's own, or a temporary one where that
    cannot be written."""
    wanted = str(cache_path())
    if wanted not in _checked:
        problem = _problem(Path(wanted))
        found = _make_temporary(wanted, problem) if problem else Cache(Path(wanted))
        _checked[wanted] = _checked[str(found.folder)] = found
    return _checked[wanted]


def features_cache_dir() -> Path:
    """Return the folder of cached image features."""
    return find_cache().folder / "features"


def build_cache_dir() -> Path:
    """Return the folder where axis values keep what is slow to build."""
    return find_cache().folder / "builds"


def _problem(folder: Path) -> str:
    """Return why files cannot be kept in a folder, or ''."""
    if not folder.is_absolute():  # ~ without a home
        return "this user has no home folder"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _make_temporary(wanted: str, problem: str) -> Cache:
    fix = f"Set {CACHE_VARIABLE} to a folder that can be written."
    try:
        folder = Path(tempfile.mkdtemp(prefix="harness-cache-"))
    except OSError as error:
        raise MachineError(
            f"no folder for caches can be written: {problem}", wanted, fix
        ) from error
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ[CACHE_VARIABLE] = str(folder)
    os.environ.setdefault("MPLCONFIGDIR", str(folder / "matplotlib"))
    return Cache(
        folder,
        f"caches cannot be kept in {wanted} ({problem}): this command's are temporary. {fix}",
    )
