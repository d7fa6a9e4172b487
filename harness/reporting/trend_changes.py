"""Changes of level in groups: what is open, suspected, accepted, or went away."""

from collections.abc import Iterable, Sequence
from typing import Literal

from harness.core.base import Frozen
from harness.core.history import LevelChange
from harness.history.table import History

ChangeKind = Literal["worse", "better", "suspected", "accepted", "resolved", "machine"]
"""What a change is to a reader; a change of the machine is none of a cell."""


class ChangeGroups(Frozen):
    """All changes, each in one group, the newest first."""

    regressions: tuple[LevelChange, ...] = ()
    """Worse, certain, not accepted, and still there; the new ones first."""
    suspected: tuple[LevelChange, ...] = ()
    machine: tuple[LevelChange, ...] = ()
    improvements: tuple[LevelChange, ...] = ()
    accepted: tuple[LevelChange, ...] = ()
    resolved: tuple[LevelChange, ...] = ()
    """Worse, but a later change of the same quantity took most of it back."""


def group_changes(history: History, changes: Iterable[LevelChange]) -> ChangeGroups:
    """Sort changes into groups; a change whose nights the history does not have is left out."""
    places = {night.run: place for place, night in enumerate(history.nights)}
    known = [change for change in changes if change.since in places]
    known.sort(key=lambda change: (change.state != "new", -places[change.since], change.id))
    groups: dict[ChangeKind, list[LevelChange]] = {}
    for change in known:
        groups.setdefault(find_kind(change, known, places), []).append(change)
    return ChangeGroups(
        regressions=tuple(groups.get("worse", ())),
        suspected=tuple(groups.get("suspected", ())),
        machine=tuple(groups.get("machine", ())),
        improvements=tuple(groups.get("better", ())),
        accepted=tuple(groups.get("accepted", ())),
        resolved=tuple(groups.get("resolved", ())),
    )


def find_kind(
    change: LevelChange, changes: Sequence[LevelChange], places: dict[str, int]
) -> ChangeKind:
    """Return what a change is to a reader; `places` are the nights in the order of time."""
    if change.state in ("accepted", "suspected"):
        return "accepted" if change.state == "accepted" else "suspected"
    if not change.cell:
        return "machine"
    if change.direction == "better":
        return "better"
    return "resolved" if _is_resolved(change, changes, places) else "worse"


def _is_resolved(
    change: LevelChange, changes: Sequence[LevelChange], places: dict[str, int]
) -> bool:
    """Whether the newest level of the same series is nearer to the level before the change."""
    later = [
        other
        for other in changes
        if (other.machine, other.cell, other.quantity)
        == (change.machine, change.cell, change.quantity)
        and other.state != "suspected"
        and places[other.since] > places[change.since]
    ]
    if not later:
        return False
    newest = max(later, key=lambda other: places[other.since]).after.estimate
    return newest < (change.before.estimate + change.after.estimate) / 2
