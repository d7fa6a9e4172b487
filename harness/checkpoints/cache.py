"""A JSON cache in the user's cache folder, shared by all runs, for expensive facts."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from harness.core.parsing import cache_path


def read_kept(kind: str, name: str) -> Any:
    """Return a cached entry, or None if it is missing or unreadable."""
    try:
        return json.loads(_entry(kind, name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def keep(kind: str, name: str, found: Any) -> None:
    """Write an entry atomically; a cache that cannot be written is ignored."""
    entry = _entry(kind, name)
    if not entry.is_absolute():  # this user has no home folder
        return
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=entry.parent, delete=False
        ) as file:
            json.dump(found, file)
        os.replace(file.name, entry)
    except OSError:
        return


def _entry(kind: str, name: str) -> Path:
    return cache_path() / kind / f"{name}.json"
