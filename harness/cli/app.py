"""The `harness` command's application, which the modules of commands add to."""

import os
from typing import Annotated

import typer

from harness.cli.arguments import GroupedCommands

# Before torch is imported, because spinning threads slow each other down.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    cls=GroupedCommands,
    help="Measures what an optimization of an image-generation model buys, what it costs in "
    "quality, and whether it may ship.",
    epilog="Exit codes: 0 pass · 1 gate failed or new regression · 2 wrong usage or matrix · "
    "3 nothing to do · 4 machine not usable · 5 some cells failed · 6 inconclusive · "
    "7 results unreadable.",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def options(
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks.")] = False,
) -> None:
    os.environ["HARNESS_DEBUG"] = "1" if debug else ""


def leave(code: int) -> None:
    """End the command with an exit code, unless it is 0."""
    if code:
        raise typer.Exit(code)
