"""Tables and lists of the command line: whole on a pipe, folded on a terminal, never cut."""

import io
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness.core.machine import Machine
from harness.core.policy import Policy, rule_words, sees_words
from harness.core.units import Absent, format_percent
from harness.listing import FETCHED
from harness.measure.machine import Ability
from harness.planning import Power

UNLIMITED = 100_000
"""A width that no table reaches."""


def print_table(console: Console, table: Table) -> None:
    """Print a table: one line per row on a pipe, so that programs can search it; folded on a
    terminal."""
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
    """Return whether the console's file is a terminal; FORCE_COLOR colours a pipe but does not make
    it one."""
    return bool(getattr(console.file, "isatty", lambda: False)())


Row = dict[str, Any]


def axes_lines(rows: list[Row]) -> Iterator[str]:
    """Yield one line per value under its axis: summary, whether it runs here, and the reason or
    requirement."""
    name_width = max(len(row["value"]) for row in rows)
    summary_width = max(len(row["summary"]) for row in rows)
    for axis, values in groupby(rows, key=lambda row: row["axis"]):
        yield axis
        for row in values:
            runs, note = _here(row)
            value, summary = f"{row['value']:<{name_width}}", f"{row['summary']:<{summary_width}}"
            yield f"  {value}  {summary}  {runs:<3}  {note}".rstrip()


def value_lines(row: Row) -> Iterator[str]:
    """Yield every line on one value: options with defaults, requirements, whether it runs here."""
    runs, note = _here(row)
    yield f"{row['axis']} {row['value']}"
    yield f"  {row['summary']}"
    width = max(
        (len(f"{name} = {option['default']}") for name, option in row["options"].items()), default=0
    )
    for name, option in row["options"].items():
        setting = f"{name} = {option['default']}"
        yield f"    {setting:<{width}}  {option['about']}".rstrip()
    yield f"  here: {runs}" + (f", {note}" if note else "")


def _here(row: Row) -> tuple[str, str]:
    if row["here"] == FETCHED:
        return "yes", FETCHED
    if row["here"] != "yes":
        return "no", row["here"]
    return "yes", f"needs {row['needs']}" if row["needs"] else ""


def machine_lines(machine: Machine) -> Iterator[str]:
    """Yield the machine's lines: its title, its number formats, its system."""
    yield f"[bold]{escape(machine.title)}[/]"
    yield (
        "fp16: in hardware"
        if machine.native_fp16
        else "fp16: not in hardware: the baseline is fp32"
    )
    yield f"os: {escape(machine.os)}"
    yield f"python: {machine.python}"


def abilities_table(abilities: tuple[Ability, ...]) -> Table:
    """Return the conditions that the machine can measure, and the reason where one is absent."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column()
    for ability in abilities:
        found = ability.found
        shown = (
            f"[yellow]absent[/]: {escape(found.absent)}"
            if isinstance(found, Absent)
            else escape(found)
        )
        table.add_row(ability.what, shown)
    return table


def to_json(abilities: tuple[Ability, ...]) -> dict[str, str | dict[str, str]]:
    """Return the abilities as JSON data: text, or `{"absent": reason}`."""
    return {
        ability.what: ability.found.model_dump()
        if isinstance(ability.found, Absent)
        else ability.found
        for ability in abilities
    }


def policy_lines(policies: tuple[Policy, ...]) -> Iterator[tuple[str, str]]:
    """Yield the lines that describe some policies, each with its style: name, question, and the
    rules in words."""
    for policy in policies:
        yield policy.name, "bold"
        yield f"  {policy.about}", ""
        for rule in policy.gate:
            yield f"  - {rule_words(rule)}", "dim"
        if demanded := sees_words(policy):
            yield f"  - {demanded}", "dim"


def power_table(rows: tuple[Power, ...]) -> Table:
    """Return the power of a plan, one row for each cell and metric."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (
        "cell",
        "metric",
        "seen",
        "decides with",
        "power here",
        "passes up to",
        "fails from",
        "detects",
    ):
        table.add_column(column, justify="left" if column in ("cell", "metric") else "right")
    for row in rows:
        table.add_row(
            row.cell_id,
            row.metric,
            "new cell" if row.seen is None else format_percent(row.seen),
            "too close to tell"
            if row.prompts_needed is None
            else f"{row.prompts_needed:,} prompts",
            format_percent(row.decides, 0),
            "none" if row.passes_up_to is None else format_percent(row.passes_up_to),
            format_percent(row.fails_from),
            format_percent(row.detects),
        )
    return table


def power_note(rows: tuple[Power, ...]) -> str:
    """Return the explanation of the power table."""
    pilot, most = min(row.pilot_prompts for row in rows), rows[0].prompts
    return (
        f"Based on the spread of {pilot} or more prompts; this plan has at most {most}. `decides "
        "with` assumes the"
        " observed loss (0 for a new cell). The last three columns are true losses that this "
        "plan passes, fails, or"
        " detects, each with 90 % probability."
    )
