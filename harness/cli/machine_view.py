"""The lines in which `harness doctor` describes a machine."""

from collections.abc import Iterator

from rich.markup import escape
from rich.table import Table

from harness.core.machine import Machine
from harness.core.units import Absent
from harness.measure.machine import Ability


def machine_lines(machine: Machine) -> Iterator[str]:
    """Yield the machine's lines: its title, its number formats, its system."""
    yield f"[bold]{escape(machine.title)}[/]"
    yield "fp16: in hardware" if machine.native_fp16 else "fp16: not in hardware: the baseline is fp32"
    yield f"os: {escape(machine.os)}"
    yield f"python: {machine.python}"


def abilities_table(abilities: tuple[Ability, ...]) -> Table:
    """Return what the machine tells while cells are timed, and why it does not tell the rest."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column()
    table.add_column()
    for ability in abilities:
        found = ability.found
        shown = f"[yellow]absent[/]: {escape(found.absent)}" if isinstance(found, Absent) else escape(found)
        table.add_row(ability.what, shown)
    return table


def to_json(abilities: tuple[Ability, ...]) -> dict[str, str | dict[str, str]]:
    """Return the same for a program: a sentence, or `{"absent": why}`."""
    return {
        ability.what: ability.found.model_dump() if isinstance(ability.found, Absent) else ability.found
        for ability in abilities
    }
