"""Commits of watched repositories: facts of a night."""

import subprocess
from pathlib import Path

from harness.core.errors import UsageError
from harness.core.parsing import expand_user
from harness.history.night import SHORT_COMMIT
from harness.measure.machine import ask_git


def read_commits(folders: tuple[str, ...], base: Path) -> dict[str, str]:
    """Return repository → its commit, with `+changes` if files under version control differ.

    Relative folders start at `base`. Raises UsageError for a folder that is no git repository.
    """
    return {folder: _read_commit(folder, base / expand_user(folder)) for folder in folders}


def _read_commit(name: str, folder: Path) -> str:
    fix = "Name folders of git repositories in nightly.watch, relative to the matrix file."
    if not folder.is_dir():
        raise UsageError("no such folder", f"nightly.watch: {name}", fix)
    try:
        commit = ask_git(folder, "rev-parse", "HEAD")[:SHORT_COMMIT]
        dirty = bool(ask_git(folder, "status", "--porcelain", "--untracked-files=no"))
    except FileNotFoundError as error:
        raise UsageError("git is not installed", f"nightly.watch: {name}", fix) from error
    except subprocess.SubprocessError as error:
        what = "not a git repository, or one without a commit"
        raise UsageError(what, f"nightly.watch: {name}", fix) from error
    return commit + ("+changes" if dirty else "")
