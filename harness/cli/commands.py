"""The `harness` command: each command parses its arguments, calls the api and passes the answer to
the console."""

import os
import sys

from harness.cli import (
    commands_deploy,
    commands_judge,
    commands_measure,
    commands_nightly,
    commands_set_up,
    commands_sign,
    commands_understand,
)
from harness.cli.app import app
from harness.cli.streams import guard_streams

__all__ = ["app", "main"]

COMMANDS = (
    commands_measure,
    commands_nightly,
    commands_judge,
    commands_sign,
    commands_understand,
    commands_deploy,
    commands_set_up,
)
"""Importing a module registers its commands."""
CTRL_C = 130
"""The status typer gives to Ctrl-C, as shells do."""


def main() -> None:
    """Run the command. An error prints what happened, where, and what to do, and sets the exit
    code."""
    guard_streams()
    try:
        app()
    except SystemExit as ending:
        if ending.code == CTRL_C:
            from harness.cli import console

            console.show_interrupt()
        raise
    except Exception as error:
        if os.environ.get("HARNESS_DEBUG"):
            raise
        from harness.cli import console

        sys.exit(console.show_error(error))
