"""The trend page of a matrix: what got slower or worse, since which night, and why."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from harness.core.base import Frozen
from harness.core.errors import NothingToDo
from harness.core.history import LevelChange, Night
from harness.core.units import plural
from harness.history.quantities import LATENCY, find_quantity
from harness.history.table import History
from harness.reporting.parts import NamedValue
from harness.reporting.trend_changes import ChangeGroups, find_kind, group_changes
from harness.reporting.trend_clock import normalize, normalize_levels
from harness.reporting.trend_series import ChangeMark, TrendSeries, build_series
from harness.reporting.trend_text import (
    TrendAnswer,
    describe_scope,
    format_day,
    format_size,
    write_answer,
)
from harness.reporting.trend_views import ChangeView, NightView, TrendScene, view_changes
from harness.store.layout import report_folder


class MachineView(Frozen):
    """One machine: its nights, its own line, and a row of series for each cell."""

    name: str
    nights: tuple[NightView, ...]
    own: int | None
    """The place of the baseline's latency in the page's list of series."""
    rows: tuple[tuple[str, tuple[TrendSeries | None, ...]], ...]


class TrendPage(Frozen):
    """Everything the trend page shows, in its order."""

    title: str
    answer: TrendAnswer
    figures: tuple[NamedValue, ...]
    terms: tuple[str, ...]
    groups: ChangeGroups
    views: Mapping[str, ChangeView]
    regressions: tuple[ChangeView, ...]
    """One for each series with open regressions."""
    machines: tuple[MachineView, ...]
    quantities: tuple[str, ...]
    series: tuple[TrendSeries, ...]
    notes: tuple[str, ...]

    def show(self, changes: Sequence[LevelChange]) -> tuple[ChangeView, ...]:
        """Return the views of some changes."""
        return tuple(self.views[change.id] for change in changes)


class TrendSource(NamedTuple):
    """What a page is built from: `results` is the folder of the runs, `out` that of the page."""

    history: History
    changes: tuple[LevelChange, ...]
    out: Path
    results: Path | None


def build_trend(source: TrendSource, terms: Iterable[str] = ()) -> TrendPage:
    """Return the page of a history; NothingToDo if it has no nights."""
    history = source.history
    if not history.nights:
        fix = f"Measure a night: harness nightly {history.lineage}"
        raise NothingToDo("the history has no nights", history.lineage, fix)
    source = source._replace(
        changes=tuple(normalize_levels(history, change) for change in source.changes)
    )
    groups = group_changes(history, source.changes)
    marks = _mark_changes(history, groups)
    machines, series = _build_machines(source, marks)
    places = {(machines[s.machine].name, s.cell, s.quantity): s.place for s in series}
    scene = TrendScene(
        history=history,
        results=source.results,
        nights={night.run: night for machine in machines for night in machine.nights},
        marks={key: mark for key, (_, mark) in marks.items()},
        places=places,
    )
    return TrendPage(
        title=history.lineage,
        answer=write_answer(history, groups),
        figures=_list_figures(history, groups, len(series)),
        terms=(*history.machines, describe_scope(history), *terms),
        groups=groups,
        views={key: view_changes(scene, (change,)) for key, (change, _) in marks.items()},
        regressions=tuple(view_changes(scene, found.parts, found.total) for found in groups.open),
        machines=machines,
        quantities=tuple(find_quantity(name).title for name in history.quantities),
        series=series,
        notes=(*history.notes, *_list_missing(machines)),
    )


def _mark_changes(
    history: History, groups: ChangeGroups
) -> dict[str, tuple[LevelChange, ChangeMark]]:
    """Return change id → the change and its mark on its machine's nights."""
    changes = [change for group in dict(groups).values() for change in group]
    order = {night.run: place for place, night in enumerate(history.nights)}
    marks = {}
    anchors = {
        change.id: f"series-{n + 1}" for n, o in enumerate(groups.open) for change in o.parts
    }
    for number, change in enumerate(sorted(changes, key=lambda change: order[change.since])):
        places = _place_nights(history.nights_on(change.machine))
        marks[change.id] = (
            change,
            ChangeMark(
                place=places[change.since],
                found=places.get(change.found, places[change.since]),
                kind=find_kind(change, changes, order),
                label=format_size(change),
                anchor=anchors.get(change.id, f"change-{number + 1}"),
            ),
        )
    return marks


def _place_nights(nights: Iterable[Night]) -> dict[str, int]:
    return {night.run: place for place, night in enumerate(nights)}


def _build_machines(
    source: TrendSource, marks: Mapping[str, tuple[LevelChange, ChangeMark]]
) -> tuple[tuple[MachineView, ...], tuple[TrendSeries, ...]]:
    """Return the machines and all series; a series knows its place in the list."""
    history, machines = source.history, []
    series: list[TrendSeries] = []
    for number, machine in enumerate(history.machines):
        built = [
            one.model_copy(update={"place": len(series) + place, "machine": number})
            for place, one in enumerate(_list_series(history, machine, marks))
        ]
        series += built
        found = {(one.cell, one.quantity): one for one in built}
        baseline = history.baseline(machine)
        own = found.get((baseline, LATENCY))
        here = {cell for cell, _ in found}
        cells = sorted(here, key=lambda cell: (cell != baseline, history.cells.index(cell)))
        view = MachineView(
            name=machine,
            nights=_view_nights(history.nights_on(machine), source),
            own=own.place if own else None,
            rows=tuple(
                (cell, tuple(found.get((cell, name)) for name in history.quantities))
                for cell in cells
            ),
        )
        machines.append(view)
    return tuple(machines), tuple(series)


def _list_series(
    history: History, machine: str, marks: Mapping[str, tuple[LevelChange, ChangeMark]]
) -> Iterator[TrendSeries]:
    """Yield a machine's series with their changes; its own changes are the baseline's."""
    places, baseline = _place_nights(history.nights_on(machine)), history.baseline(machine)
    for one in history.all_series(machine):
        cells = (one.cell, "") if one.cell == baseline else (one.cell,)
        mine = [
            (change, mark) for change, mark in marks.values()
            if change.machine == machine and change.cell in cells
            and change.quantity == one.quantity
        ]  # fmt: skip
        yield build_series(normalize(history, one), places, mine)


def _view_nights(nights: Sequence[Night], source: TrendSource) -> tuple[NightView, ...]:
    newest = source.history.nights[-1].time
    views = []
    for before, night in pairwise([None, *nights]):
        assert night is not None
        views.append(
            NightView(
                run=night.run,
                day=format_day(night.time, newest),
                href=_find_report(night, source),
                facts=list_differences(before, night) if before else (),
                notes=night.notes,
                repeats=bool(night.repetition_of),
                missing=night.missing,
            )
        )
    return tuple(views)


def _find_report(night: Night, source: TrendSource) -> str:
    """Return the address of a night's report relative to the page; '' if it is gone."""
    if source.results is None:
        return ""
    index = report_folder(source.results / night.run) / "index.html"
    return Path(os.path.relpath(index, source.out)).as_posix() if index.exists() else ""


def list_differences(before: Night, after: Night) -> tuple[str, ...]:
    """Return which facts differ between two nights: `driver: 570 → 575`."""
    names = dict.fromkeys((*before.facts, *after.facts))
    return tuple(
        f"{name}: {before.facts.get(name, 'none')} → {after.facts.get(name, 'none')}"
        for name in names
        if before.facts.get(name) != after.facts.get(name)
    )


def _list_missing(machines: Sequence[MachineView]) -> Iterator[str]:
    """Yield a sentence for each cell that the newest night of a machine has no figures of."""
    for machine in machines:
        night = machine.nights[-1]
        for cell, why in night.missing.items():
            yield f"{cell} was not measured on {night.day}: {why}."


def _list_figures(history: History, groups: ChangeGroups, series: int) -> tuple[NamedValue, ...]:
    new = sum(found.total.state == "new" for found in groups.open)
    first, last = history.nights[0].time, history.nights[-1].time
    return (
        NamedValue(name="Regressions", value=str(len(groups.open)),
                   note=f"{new} found in the newest night"),
        NamedValue(name="Suspected", value=str(len(groups.suspected)),
                   note="need more nights" if groups.suspected else "nothing undecided"),
        NamedValue(name="Improvements", value=str(len(groups.improvements)),
                   note="they are the new level"),
        NamedValue(name="Nights", value=f"{len(history.nights):,}",
                   note=f"{format_day(first, last)} to {format_day(last, last)}"),
        NamedValue(name="Followed", value=f"{series:,}",
                   note=f"series of {plural(len(history.cells), 'cell')}"),
    )  # fmt: skip
