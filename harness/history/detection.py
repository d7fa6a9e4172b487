"""Find changes of level in a history, at a budget of false alarms for the whole matrix.

What most cells share on one night is not theirs: it is taken out of every cell and watched as one
line of the machine. Cells' latencies are ratios to the baseline's of the same night, so the machine
cancels in them, and what they share is a change of the baseline itself.
"""

import hashlib
from collections.abc import Iterator, Sequence
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from harness.core.history import ChangeState, Level, LevelChange, Night, NightlyBudget
from harness.history.lines import Line, list_lines
from harness.history.table import History
from harness.stats.changes import Detection, Readings, Shift, find_shifts, level_interval

Floats = NDArray[np.float64]
Noise = tuple[float, float, float]
"""Scale, correlation of neighbours and degrees of freedom of a line."""

CALIBRATION = 0.0813
"""Threshold ÷ nominal average run length. The bound of e-detectors is conservative. Tuned on the
simulated kinds of noise of docs/nightly.md, of which two speeds alone exceed the budget."""
WORSE, BETTER = 0.8, 0.2
"""Parts of the budget: regressions are found sooner than improvements."""
MACHINE_CAUTION = 4.0
"""How many times as strict lines of the machine are: they are few, and a machine with two speeds
makes them noisier than the model of noise allows for."""
SAME_EVENT = 5
"""Nights between changes that count as one event of the machine."""
SURE = 10
"""Nights after which a change is withdrawn if its two levels no longer differ."""
_BEFORE = 30
_MONTH = timedelta(days=30)


def detect(history: History, budget: NightlyBudget) -> tuple[LevelChange, ...]:
    """Return every change of level of every cell, quantity and machine, and suspected ones.

    Each night is judged by itself and the nights before it only, so a change once found keeps its
    first night and its id; it is withdrawn if later nights show both levels to be the same. Its
    state is `new` if the series' newest night found it. `cell` is '' for a change of the machine,
    and the baseline's id where the baseline moved against most cells. Levels of candidates'
    latencies are ratios to the baseline.
    """
    changes = (_Machine(history, machine, budget).find() for machine in history.machines)
    return tuple(change for found in changes for change in found)


def nominal_run_length(values: Floats, nights: Sequence[Night], per_night: float) -> Floats:
    """Return, at each night (n,), the readings of a series in which it may raise one false alarm.

    The budget is shared by all series (s, n) that had a reading by then, at the number of runs a
    day of the latest month, and at least one.
    """
    series = np.logical_or.accumulate(np.isfinite(values), axis=1).sum(axis=0)
    times = [night.time for night in nights]
    runs = [
        sum(time - _MONTH < other <= time for other in times[: place + 1]) / _MONTH.days
        for place, time in enumerate(times)
    ]
    return np.asarray(np.maximum(series, 1) * np.maximum(runs, 1.0) / per_night)


class _Machine:
    """The nights of one machine."""

    def __init__(self, history: History, machine: str, budget: NightlyBudget) -> None:
        self.history, self.machine = history, machine
        self.nights = history.nights_on(machine)
        self.places = {night.run: place for place, night in enumerate(self.nights)}
        self.per_night = budget.per_night / len(history.machines)

    def find(self) -> Iterator[LevelChange]:
        """Yield the changes of cells, then those of the machine."""
        cells, lines = list_lines(self.history, self.machine)
        if not cells and not lines:
            return
        values = np.stack([line.own for line in (*cells, *lines)])
        nominal = CALIBRATION * nominal_run_length(values, self.nights, self.per_night)
        limits = np.maximum(np.stack([nominal / WORSE, nominal / BETTER], axis=1), np.e)
        yield from self._judge(cells, limits)
        yield from self._join([*self._judge(lines, MACHINE_CAUTION * limits)])

    def _judge(self, lines: Sequence[Line], limits: Floats) -> Iterator[LevelChange]:
        if not lines:
            return
        kinds = list(dict.fromkeys(line.quantity for line in lines))
        widths = np.stack([line.half_widths for line in lines])
        readings = Readings(
            np.stack([line.own for line in lines]),
            widths if widths.any() else None,
            np.array([line.least_scale for line in lines]),
            np.array([kinds.index(line.quantity) for line in lines]),
        )
        detection = find_shifts(readings, limits)
        for place, line in enumerate(lines):
            yield from self._describe(line, place, detection)

    def _describe(self, line: Line, place: int, detection: Detection) -> Iterator[LevelChange]:
        """Yield the changes of one line, the suspected one last."""
        newest = self._newest(line)
        noise = (detection.scale[place], detection.correlation[place], detection.freedom[place])
        found = [each for each in detection.shifts if each.series == place and _moved(line, each)]
        shifts = self._withdraw(line, found, noise)
        more = {
            Shift(place, each.since, newest, each.sign): each.more
            for each in detection.suspicions
            if each.series == place
        }
        suspected = [shift for shift in more if _moved(line, shift)]
        edges = [0, *(shift.since for shift in shifts), len(self.nights)]
        for number, shift in enumerate(shifts):
            levels = self._levels(line, edges[number : number + 3], noise)
            yield self._change(line, shift, levels, "new" if shift.found == newest else "known")
        for shift in suspected:
            levels = self._levels(line, [edges[-2], shift.since, edges[-1]], noise)
            change = self._change(line, shift, levels, "suspected")
            yield change.model_copy(update={"decided_in_nights": more[shift]})

    def _withdraw(self, line: Line, found: Sequence[Shift], noise: Noise) -> list[Shift]:
        """Return the shifts that later nights do not contradict: levels that still differ.

        A false alarm a month would otherwise stay in the history for good.
        """
        kept = list(found)
        place = 0
        while place < len(kept):
            edges = [0, *(shift.since for shift in kept), len(self.nights)]
            before, after = (
                line.own[edges[place + step] : edges[place + step + 1]] for step in (0, 1)
            )
            if np.isfinite(after).sum() >= SURE and not _differ(
                before, after, kept[place].sign, noise
            ):
                del kept[place]
                place = max(place - 1, 0)
            else:
                place += 1
        return kept

    def _newest(self, line: Line) -> int:
        """Return the newest night of a line, if it is one of the last two: the last one may be a
        repetition of few cells."""
        last = len(self.nights) - 1
        known = np.flatnonzero(np.isfinite(line.own))
        return int(known[-1]) if known.size and known[-1] >= last - 1 else last

    def _levels(self, line: Line, edges: Sequence[int], noise: Noise) -> tuple[Level, Level]:
        """Return the levels before and after, both at what cells share after the change."""
        begin, since, end = edges
        shared = float(np.median(line.shared[since:end]))
        return _level(line, line.own[begin:since] + shared, noise), _level(
            line, line.own[since:end] + shared, noise
        )

    def _change(
        self, line: Line, shift: Shift, levels: tuple[Level, Level], state: ChangeState
    ) -> LevelChange:
        since = self.nights[shift.since].run
        name = "\n".join((self.history.lineage, self.machine, line.cell, line.quantity, since))
        return LevelChange(
            id=hashlib.sha256(name.encode()).hexdigest()[:10],
            machine=self.machine,
            cell=line.cell,
            quantity=line.quantity,
            since=since,
            found=self.nights[shift.found].run,
            before=levels[0],
            after=levels[1],
            direction="worse" if shift.sign > 0 else "better",
            state=state,
        )

    def _join(self, found: Sequence[LevelChange]) -> list[LevelChange]:
        """Return changes of the machine and the baseline, one for each event.

        If the baseline moved against most cells, its clock moved with it: that is not the machine.
        """
        kept: list[LevelChange] = []
        order = {"new": 0, "known": 0, "accepted": 0, "suspected": 1}
        for change in sorted(
            found,
            key=lambda each: (order[each.state], self.places[each.found], each.cell == ""),
        ):
            if change.cell or not any(self._is_same_event(change, other) for other in kept):
                kept.append(change)
        return kept

    def _is_same_event(self, change: LevelChange, other: LevelChange) -> bool:
        distance = abs(self.places[change.since] - self.places[other.since])
        return distance <= SAME_EVENT and change.direction == other.direction


def _moved(line: Line, shift: Shift) -> bool:
    """Return whether the readings moved too, by half the size: where most cells move, the others
    only seem to move against them."""
    parts = slice(max(0, shift.since - _BEFORE), shift.since), slice(shift.since, shift.found + 1)
    own = _distance(line.own, *parts)
    whole = _distance(line.own + line.shared, *parts)
    return bool(shift.sign * whole >= shift.sign * own / 2)


def _distance(values: Floats, before: slice, after: slice) -> float:
    return float(np.nanmean(values[after]) - np.nanmean(values[before]))


def _differ(before: Floats, after: Floats, sign: int, noise: Noise) -> bool:
    """Return whether the 95 % interval of the rise (sign 1) or fall (−1) of a level is above 0."""
    first, second = (
        level_interval(values[np.isfinite(values)], noise) for values in (before, after)
    )
    width = np.hypot(first[2] - first[1], second[2] - second[1])
    return bool(sign * (second[0] - first[0]) > width / 2)


def _level(line: Line, values: Floats, noise: Noise) -> Level:
    known = values[np.isfinite(values)]
    estimate, low, high = (line.restore(end) for end in level_interval(known, noise))
    return Level(estimate=estimate, low=low, high=high, nights=known.size)
