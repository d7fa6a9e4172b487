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
    """Worse when it was found, but later nights or a later change took it back."""

    @property
    def open(self) -> tuple["OpenRegression", ...]:
        """The regressions, those of one series as one: a slow drift is found in several parts."""
        parts: dict[tuple[str, str, str], list[LevelChange]] = {}
        for change in self.regressions:
            parts.setdefault((change.machine, change.cell, change.quantity), []).append(change)
        return tuple(OpenRegression(parts=tuple(reversed(found))) for found in parts.values())


class OpenRegression(Frozen):
    """All open regressions of one series, the oldest first."""

    parts: tuple[LevelChange, ...]

    @property
    def total(self) -> LevelChange:
        """The whole change, with the id of its newest part: from the first level to the present."""
        first, last = self.parts[0], self.parts[-1]
        causes = dict.fromkeys(cause for change in self.parts for cause in change.causes)
        is_new = any(change.state == "new" for change in self.parts)
        return last.model_copy(
            update={
                "before": first.before,
                "since": first.since,
                "found": last.found if is_new else first.found,
                "state": "new" if is_new else last.state,
                "causes": tuple(causes),
            }
        )


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
    """Whether the present level is hardly worse than that before the change.

    Later nights may take its own level back into the interval of the one before, or a later change
    of the same series most of it.
    """
    if change.state != "new" and change.after.estimate <= change.before.high:
        return True
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
