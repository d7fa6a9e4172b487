"""Accept a change of level."""

import datetime
import getpass
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from harness.core.catalog import did_you_mean
from harness.core.errors import NothingToDo, UsageError
from harness.core.history import LevelChange
from harness.core.parsing import expand_user
from harness.history.acceptance import Acceptance, add_accepted
from harness.history.table import History
from harness.measure.machine import ask_git
from harness.nightly.following import Followed, find_settings, follow, list_lineages


class Reason(NamedTuple):
    """Why a change is accepted, by whom, and the last day on which that counts."""

    why: str
    who: str = ""
    """Empty: the name that git or the system knows."""
    until: datetime.date | None = None


class Accepted(NamedTuple):
    """An accepted change, and the file that records it."""

    accepted: Acceptance
    path: Path


def accept(word: str, reason: Reason, results: Path, matrix: Path | None = None) -> Accepted:
    """Record an accepted regression next to its matrix file.

    `word` is the id of a change or the beginning of one. Raises UsageError for an unknown id, for
    one that fits several changes and for an empty reason, NothingToDo for an improvement, or a
    change that was accepted before.
    """
    results = expand_user(results)
    today = datetime.datetime.now(datetime.timezone.utc).date()
    if not reason.why.strip():
        raise UsageError("the reason is empty", "--why", 'Such as: --why "the new scheduler"')
    if reason.until is not None and reason.until < today:
        raise UsageError(f"{reason.until} has passed", "--until", "Name a day from today on.")
    names = [matrix] if matrix else [Path(name) for name in list_lineages(results)]
    followed, change = _find(word, names, results)
    if change.direction == "better":
        what = "an improvement needs no acceptance: its level is the new one already"
        raise NothingToDo(what, change.id)
    if change.state == "accepted":
        raise NothingToDo(f"it was accepted before: {change.why}", change.id)
    record = _record(followed.history, change, reason, today)
    path = find_settings(names[0], results).accepted_file if matrix else followed.accepted_file
    add_accepted(path, record)
    return Accepted(record, path)


def _find(word: str, names: list[Path], results: Path) -> tuple[Followed, LevelChange]:
    every = [follow(name, results) for name in names]
    known = {change.id: (followed, change) for followed in every for change in followed.changes}
    fitting = [word] if word in known else [name for name in known if name.startswith(word)]
    if not fitting:
        fix = f"{did_you_mean(word, list(known))} See: harness history MATRIX" if known else ""
        raise UsageError(f'no change is called "{word}"', str(results), fix)
    if len(fitting) > 1:
        raise UsageError(f'"{word}" fits several changes', "", f"Name one: {', '.join(fitting)}")
    return known[fitting[0]]


def _record(
    history: History, change: LevelChange, reason: Reason, today: datetime.date
) -> Acceptance:
    cell = change.cell or history.baseline(change.machine)
    runs = history.series(change.machine, cell, change.quantity).runs.tolist()
    place = runs.index(change.since) if change.since in runs else 0
    return Acceptance(
        change=change.id,
        machine=change.machine,
        cell=change.cell,
        quantity=change.quantity,
        since=change.since,
        previous=runs[place - 1] if place else "",
        before=change.before.estimate,
        after=change.after.estimate,
        who=reason.who.strip() or _find_name(),
        when=today,
        why=reason.why.strip(),
        until=reason.until,
    )


def _find_name() -> str:
    """Return the name that git knows, or the system's name of the user."""
    with suppress(OSError, subprocess.SubprocessError):
        if name := ask_git(Path(), "config", "user.name"):
            return name
    return getpass.getuser()
