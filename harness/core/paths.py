"""Paths as people write them."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from harness.core.errors import UsageError


def _refuse_empty(path: Any) -> Any:
    if isinstance(path, str) and not path.strip():
        raise ValueError("empty; name a file or folder, or . for the current one")
    return path


GivenPath = Annotated[Path, BeforeValidator(_refuse_empty)]
"""A path that somebody wrote down: an empty one is a mistake, not the current folder."""


def expand_user(path: str | Path) -> Path:
    """Return a path with `~` or `~name` at its begin replaced by that user's home folder.

    Raises UsageError where there is no such user, or the user has no home folder.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        fix = "Write the whole path, or begin it with ./ if a folder has this name."
        raise UsageError("the home folder that ~ stands for is not known", str(path), fix) from error
