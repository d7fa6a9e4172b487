"""The changes of a history as people see them: detected, accepted, measured again, explained."""

import datetime
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.history import LevelChange, Night, NightlyBudget, NightReading
from harness.history.acceptance import Acceptance, apply_accepted
from harness.history.attribution import attribute
from harness.history.detection import detect
from harness.history.table import History


class Criteria(NamedTuple):
    """What changes are judged by: the false alarms allowed, accepted changes, today, and the runs.

    `root` is the results folder, for traces.
    """

    budget: NightlyBudget
    accepted: Sequence[Acceptance]
    today: datetime.date
    root: Path


def find_changes(history: History, criteria: Criteria) -> tuple[LevelChange, ...]:
    """Return every change of level with its state, its repetition and its possible causes."""
    found = _keep_new(history, detect(history, criteria.budget))
    found = tuple(_add_repetition(history, change) for change in found)
    found = apply_accepted(found, criteria.accepted, criteria.today)
    return attribute(history, found, criteria.root)


def _keep_new(history: History, changes: Sequence[LevelChange]) -> Sequence[LevelChange]:
    """A change that the newest night found is new also after the repetition of that night."""
    newest = {machine: set(_list_newest(history, machine)) for machine in history.machines}
    return tuple(
        change.model_copy(update={"state": "new"})
        if change.state == "known" and change.found in newest[change.machine]
        else change
        for change in changes
    )


def _list_newest(history: History, machine: str) -> Iterator[str]:
    """Yield the newest usual night of a machine and its repetitions."""
    nights = history.nights_on(machine)
    usual = next((night for night in reversed(nights) if not night.repetition_of), None)
    if usual is not None:
        yield usual.run
        yield from (night.run for night in nights if night.repetition_of == usual.run)


def _add_repetition(history: History, change: LevelChange) -> LevelChange:
    """Return a change with the readings of the repetitions since it began."""
    since = history.night(change.since).time
    cell = change.cell or history.baseline(change.machine)
    again = (
        reading
        for night in history.nights_on(change.machine)
        if night.repetition_of and night.time >= since
        for reading in _read(history, night, cell, change.quantity)
    )
    return change.model_copy(update={"remeasured": tuple(again)})


def _read(history: History, night: Night, cell: str, quantity: str) -> Iterator[NightReading]:
    reading = history.reading(night.run, cell, quantity)
    if reading is not None:
        yield reading
