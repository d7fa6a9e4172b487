"""Typed records of a matrix's history over many nights: readings, changes of level, events."""

import math
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
    """The title of its hardware. The host's name is a fact: a restarted pod has another."""
    facts: dict[str, str]
    """What may explain a change, by name: package versions, driver, model digest, git commit of
    each watched repository, host."""
    cells: tuple[str, ...] = ()
    """The ids of its planned cells."""
    baseline: str = ""
    """The id of its baseline."""
    missing: dict[str, str] = {}
    """Cell id → why it was not measured."""
    repetition_of: str = ""
    """The run whose suspected changes this one measured again; empty for a usual night."""
    notes: tuple[str, ...] = ()
    """What was wrong with it, such as a clock that was set back."""
    stale: bool = False
    """Whether the run's own files are gone (pruned, or imported from another machine)."""


class NightReading(Frozen):
    """One quantity of one cell in one night, with its 95 % interval (both ends equal the value if
    it has none)."""

    run: str
    cell: str
    quantity: str
    value: float
    low: float
    high: float
    basis: str = ""
    """What the figure is relative to: `key=value; …`. Readings of different bases are never
    compared."""


_DAYS = {"week": 7.0, "month": 30.0, "year": 365.0}


class NightlyBudget(Frozen):
    """The false alarms that a whole matrix may raise, such as 1 a month of 30 nights."""

    alarms: float = 1.0
    days: float = 30.0

    @property
    def per_night(self) -> float:
        """The expected number of false alarms in a night, at one night a day."""
        return self.alarms / self.days

    @classmethod
    def parse(cls, text: str) -> "NightlyBudget":
        """Read `1 a month`, `0.5 a week` or `2 a year`; ValueError for other text."""
        count, _, unit = text.strip().replace(" per ", " a ").partition(" a ")
        try:
            alarms = float(count)
        except ValueError:
            alarms = 0.0
        if not 0 < alarms < math.inf or unit.strip() not in _DAYS:
            raise ValueError(f'a rate such as "1 a month", "1 a week" or "2 a year", got "{text}"')
        return cls(alarms=alarms, days=_DAYS[unit.strip()])


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
