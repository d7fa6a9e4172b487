"""The views of changes on the trend page: levels, nights, causes, and images that moved."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.history import LevelChange, NightReading
from harness.core.quality import Interval
from harness.core.units import plural
from harness.history.quantities import LATENCY, find_quantity
from harness.history.table import History
from harness.reporting.trend_changes import ChangeKind
from harness.reporting.trend_images import MovedImages, find_moved_images
from harness.reporting.trend_series import ChangeMark
from harness.reporting.trend_text import describe_change, format_level, format_size
from harness.results.format import format_value

_MOST_PAIRS = 12
"""Changes that show a pair of images: the newest ones."""
_WORDS: Mapping[ChangeKind, str] = {
    "worse": "regression", "better": "improvement", "suspected": "suspected",
    "accepted": "accepted", "resolved": "went away", "machine": "machine",
}  # fmt: skip


class NightView(Frozen):
    """A night: its date, the address of its report if there is one, and what differs before it."""

    run: str
    day: str
    href: str = ""
    facts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    repeats: bool = False
    missing: Mapping[str, str] = {}
    """Cell → why it was not measured."""


class ChangeView(Frozen):
    """A change as the page shows it."""

    anchor: str
    id: str
    kind: ChangeKind
    word: str
    title: str
    cell: str
    quantity: str
    before: str
    after: str
    size: str
    since: NightView
    found: NightView
    decided: str
    causes: tuple[str, ...]
    remeasured: tuple[str, ...]
    why: str
    ids: tuple[str, ...]
    """What `harness accept` takes."""
    parts: tuple[str, ...]
    """The parts in which a drift was found."""
    series: int | None
    """The place of its series in the page's list."""
    images: MovedImages | None = None


class TrendScene(NamedTuple):
    """What views are made from: nights and marks by name, and the places of series in the page."""

    history: History
    results: Path | None
    nights: Mapping[str, NightView]
    marks: Mapping[str, ChangeMark]
    places: Mapping[tuple[str, str, str], int]

    @property
    def illustrated(self) -> frozenset[str]:
        """The changes that show images."""
        newest = sorted(self.marks, key=lambda key: -self.marks[key].place)
        return frozenset(newest[:_MOST_PAIRS])


def view_changes(
    scene: TrendScene, parts: Sequence[LevelChange], total: LevelChange | None = None
) -> ChangeView:
    """Return the view of a change, or of several of one series with their `total`."""
    change, mark, history = total or parts[0], scene.marks[parts[-1].id], scene.history
    cell = change.cell or history.baseline(change.machine)
    decided = change.decided_in_nights
    new = "new " if change.state == "new" and mark.kind in ("worse", "better") else ""
    shown = next((part for part in reversed(parts) if part.id in scene.illustrated), None)
    return ChangeView(
        anchor=mark.anchor,
        id=change.id,
        kind=mark.kind,
        word=new + _WORDS[mark.kind],
        title=describe_change(change, len(history.machines) < 2),
        cell=change.cell or "the machine",
        quantity=_name_quantity(change),
        before=format_level(change.before, change.quantity),
        after=format_level(change.after, change.quantity),
        size=format_size(change),
        since=scene.nights[change.since],
        found=scene.nights.get(change.found, scene.nights[change.since]),
        decided=f"decided within {plural(decided, 'night')}" if decided else "",
        causes=change.causes,
        remeasured=tuple(_write_reading(reading) for part in parts for reading in part.remeasured),
        why=change.why,
        ids=tuple(part.id for part in parts),
        parts=tuple(_write_part(scene, part) for part in parts) if len(parts) > 1 else (),
        series=scene.places.get((change.machine, cell, change.quantity)),
        images=find_moved_images(history, shown, scene.results) if shown else None,
    )


def _write_part(scene: TrendScene, part: LevelChange) -> str:
    return f"{format_size(part)} since {scene.nights[part.since].day}"


def _name_quantity(change: LevelChange) -> str:
    if not change.cell and change.quantity == LATENCY:
        return "Latency of the baseline"
    return find_quantity(change.quantity).title


def _write_reading(reading: NightReading) -> str:
    value = Interval(estimate=reading.value, low=reading.low, high=reading.high, method="night")
    return format_value(value, find_quantity(reading.quantity).unit)
