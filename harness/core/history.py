"""Typed records of a matrix's history over many nights: readings, changes of level, events."""

from datetime import datetime
from typing import Literal

from harness.core.base import Frozen

Direction = Literal["worse", "better"]
ChangeState = Literal["new", "suspected", "known", "accepted"]
"""new: first found in the newest night · suspected: needs more nights · known: found in an earlier
night · accepted: recorded with `harness accept`."""


class Night(Frozen):
    """One run of a lineage: when, on which machine, and what it was made with."""

    run: str
    time: datetime
    machine: str
    facts: dict[str, str]
    """What may explain a change, by name: package versions, driver, model digest, git commit of
    each watched repository, clocks, throttling."""
    stale: bool = False
    """Whether the run's own files are gone (pruned, or imported from another machine)."""


class NightReading(Frozen):
    """One quantity of one cell in one night, with its 95 % interval."""

    run: str
    cell: str
    quantity: str
    value: float
    low: float
    high: float


class Level(Frozen):
    """The level of a quantity between two changes, with its 95 % interval."""

    estimate: float
    low: float
    high: float
    nights: int


class LevelChange(Frozen):
    """A quantity of a cell that moved to another level."""

    id: str
    """Stable between evaluations: lineage, machine, cell, quantity and first night."""
    machine: str
    cell: str
    """A cell's id, or '' for the machine itself."""
    quantity: str
    since: str
    """The first run at the new level."""
    found: str
    """The run after which the change was found."""
    before: Level
    after: Level
    direction: Direction
    state: ChangeState
    decided_in_nights: int | None = None
    """For a suspected change: nights until it is decided at the present size."""
    causes: tuple[str, ...] = ()
    """What differs between the nights before and after, in words."""
    remeasured: tuple[NightReading, ...] = ()
    """The deliberate repetition, added to the series and never a substitute."""
    why: str = ""
    """The reason given with `harness accept`."""
