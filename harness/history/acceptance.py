"""Accepted changes of level: a TOML file for version control, next to the matrix."""

import datetime
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from harness.core.base import Frozen
from harness.core.errors import AcceptanceError, UsageError
from harness.core.history import LevelChange
from harness.core.parsing import read_record, read_toml
from harness.store.write import write_atomically

FILE_NAME = "nightly-accepted.toml"
_HEAD = "# Changes that were accepted with `harness accept`. Keep this file in version control.\n"


class Acceptance(Frozen):
    """An accepted change: which, between which levels, by whom, when, why, and until when."""

    change: str
    machine: str
    cell: str
    """Empty for the machine itself."""
    quantity: str
    since: str
    """The first run at the accepted level."""
    previous: str = ""
    """The last run before it."""
    before: float
    after: float
    who: str
    when: datetime.date
    why: str
    until: datetime.date | None = None
    """The last day on which it counts; None: for good."""


class AcceptedChanges(Frozen):
    """The contents of the file."""

    accepted: tuple[Acceptance, ...] = Field(default=())


def read_accepted(path: Path) -> tuple[Acceptance, ...]:
    """Return the accepted changes of a file, none if it is missing.

    Raises AcceptanceError with every mistake in it.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise UsageError(
            f"cannot read: {error.strerror}", str(path), "Check its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise AcceptanceError([f"not UTF-8 text: {error.reason}"], str(path)) from error
    document, problems = read_toml(text)
    found = None
    if not problems:
        found, problems = read_record(AcceptedChanges, document)
    if found is None or problems:
        raise AcceptanceError(problems, str(path))
    return found.accepted


def add_accepted(path: Path, accepted: Acceptance) -> None:
    """Add an accepted change to a file; what is in it stays as it is, comments too."""
    read_accepted(path)  # a file with mistakes is not added to
    text = path.read_text(encoding="utf-8") if path.exists() else _HEAD
    lines = [f"{key} = {_spell(value)}" for key, value in accepted if value is not None]
    block = "\n".join(["", "[[accepted]]", *lines, ""])
    write_atomically(path, (text.rstrip("\n") + "\n" + block).encode())


def _spell(value: Any) -> str:
    """Return a value as TOML spells it; its texts have JSON's escapes."""
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, float):
        return repr(value)
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def apply_accepted(
    changes: Sequence[LevelChange], accepted: Sequence[Acceptance], today: datetime.date
) -> tuple[LevelChange, ...]:
    """Return the changes with those marked that were accepted, with the reason.

    After its last day an accepted regression counts as new again.
    """
    known = {each.change: each for each in accepted}
    return tuple(_apply(change, known.get(change.id), today) for change in changes)


def _apply(change: LevelChange, accepted: Acceptance | None, today: datetime.date) -> LevelChange:
    if accepted is None:
        return change
    reason = f"{accepted.why} ({accepted.who}, {accepted.when:%d %B %Y})"
    if accepted.until is not None and accepted.until < today:
        why = f"it was accepted until {accepted.until:%d %B %Y}, which has passed: {reason}"
        return change.model_copy(update={"state": "new", "why": why})
    return change.model_copy(update={"state": "accepted", "why": reason})
