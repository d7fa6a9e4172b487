"""The decision table: situations of a deployment, their techniques, and the default's parts."""

from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Literal

from harness.core.base import Frozen
from harness.core.errors import UsageError
from harness.core.parsing import read_record, read_toml
from harness.results import CellResult

Objective = Literal["latency", "memory", "throughput", "loss", "cost"]
"""What is made least: seconds of a call, bytes, seconds per image, worst loss, cost of an image."""


class SettingGlobs(Frozen):
    """Globs on the values of one axis."""

    axis: str
    values: tuple[str, ...]

    def fits(self, cell: CellResult) -> bool:
        """Return whether a cell has one of these values."""
        value = cell.planned.cell.by_axis.get(self.axis, "")
        return any(fnmatchcase(value, glob) for glob in self.values)

    @property
    def names(self) -> str:
        """The values without wildcards, for readers."""
        words = (glob.rstrip("*") for glob in self.values)
        return ", ".join(dict.fromkeys("> 1" if "[" in word else word for word in words))


class Technique(SettingGlobs):
    """Values that matter in a situation, with the reason."""

    why: str


class Situation(Frozen):
    """One row of the decision table."""

    name: str
    question: str
    objective: Objective
    only: bool = False
    """Only cells with one of its techniques count."""
    system: str = ""
    """Only runs on an operating system whose name contains this count."""
    unmeasured: tuple[str, ...] = ()
    technique: tuple[Technique, ...] = ()


class Ingredient(SettingGlobs):
    """A part of the default configuration; an `alternative` replaces another part under load."""

    name: str
    alternative: bool = False
    against_baseline: bool = False
    """Cells are compared with the baseline, not with the cell that differs in this axis alone."""


class DecisionTable(Frozen):
    """The shipped table."""

    situation: tuple[Situation, ...]
    ingredient: tuple[Ingredient, ...]


@cache
def load_decision_table() -> DecisionTable:
    """Return the shipped decision table."""
    text = (files("harness.deployment") / "decision_table.toml").read_text(encoding="utf-8")
    document, problems = read_toml(text)
    table, mistakes = read_record(DecisionTable, document)
    if table is None:
        raise UsageError("; ".join(problems + mistakes), "decision_table.toml")
    return table
