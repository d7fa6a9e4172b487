"""Notifications through Apprise: Slack, e-mail, Teams and others."""

import os
from typing import Any

from harness.core.errors import MachineError, UsageError
from harness.core.matrix import VARIABLE

_WHERE = "nightly.notify"


class Targets:
    """Where notifications go; URLs are never printed, because they hold tokens."""

    def __init__(self, entries: tuple[str, ...]) -> None:
        """Read Apprise URLs, or names of environment variables that hold one.

        Raises UsageError if there is none or one is not valid, MachineError if Apprise is not
        installed or a variable is not set: before anything is measured.
        """
        if not entries:
            fix = 'Add to the matrix: [nightly] notify = ["NIGHTLY_URL"]'
            raise UsageError("--notify has nowhere to send to", _WHERE, fix)
        self._service = _load_apprise().Apprise()
        for entry in entries:
            if not self._service.add(_read_url(entry)):
                named = entry if VARIABLE.fullmatch(entry) else entry.partition("://")[0] + "://…"
                fix = "See the list of services: https://appriseit.com/services/"
                raise UsageError("not an Apprise URL", f"{_WHERE}: {named}", fix)

    def send(self, title: str, body: str) -> bool:
        """Send a message to all; return whether every one took it."""
        return bool(self._service.notify(title=title, body=body))


def _read_url(entry: str) -> str:
    if not VARIABLE.fullmatch(entry):
        return entry
    url = os.environ.get(entry)
    if not url:
        fix = "Set it to an Apprise URL, or leave out --notify."
        raise MachineError(f"the environment variable {entry} is not set", _WHERE, fix)
    return url


def _load_apprise() -> Any:
    try:
        import apprise
    except ImportError as error:
        fix = "Install it: pip install diffusion-harness[notify]"
        raise MachineError("--notify needs Apprise", _WHERE, fix) from error
    return apprise
