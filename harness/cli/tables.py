"""Tables of the command line: whole on a pipe, folded on a terminal, never cut."""

import io

from rich.console import Console
from rich.table import Table

UNLIMITED = 100_000
"""Columns that no table needs."""


def print_table(console: Console, table: Table) -> None:
    """Print a table: a line a row on a pipe, however long, so that programs can search it; folded on a terminal."""
    for column in table.columns:
        column.overflow = "fold"
    if is_terminal(console):
        console.print(table)
        return
    text = io.StringIO()
    whole = Console(file=text, width=UNLIMITED, force_terminal=console.is_terminal, emoji=False)
    whole.print(table)
    console.file.writelines(f"{line.rstrip()}\n" for line in text.getvalue().splitlines())


def is_terminal(console: Console) -> bool:
    """Return whether the console's file is a terminal; FORCE_COLOR colours a pipe but does not make it one."""
    return bool(getattr(console.file, "isatty", lambda: False)())
