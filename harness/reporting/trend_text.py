"""The sentences about changes over many nights: the page, Markdown and notifications share them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from harness.core.base import Frozen
from harness.core.history import Level, LevelChange
from harness.core.quality import Interval
from harness.core.units import format_percent, plural
from harness.history.quantities import LOSS, find_quantity
from harness.history.table import History
from harness.reporting.trend_changes import ChangeGroups
from harness.results.format import format_number, format_value

_MOST_NAMED = 3
_VERBS = {
    "latency": ("is {} slower", "takes {} less time"),
    "cold_start": ("starts {} slower", "starts in {} less time"),
    "peak_memory": ("needs {} more memory", "needs {} less memory"),
    "energy": ("uses {} more energy", "uses {} less energy"),
    "broken_share": ("has {} more broken images", "has {} fewer broken images"),
}


class TrendAnswer(Frozen):
    """The answer in two sentences: `headline: details.` and `others`."""

    kind: Literal["pass", "fail", "inconclusive"]
    headline: str
    details: str
    others: str

    @property
    def sentences(self) -> tuple[str, str]:
        """Both sentences, for Markdown and notifications."""
        first = f"{self.headline}: {self.details}" if self.details else self.headline
        return f"{first}.", self.others


def write_answer(history: History, groups: ChangeGroups) -> TrendAnswer:
    """Return what changed: open regressions first, then what is not counted among them."""
    regressions, nights = [found.total for found in groups.open], history.nights
    is_alone = len(history.machines) < 2
    others = _list_others(groups, is_alone) or f"{describe_scope(history)}."
    if regressions:
        first = min(history.night(change.since).time for change in regressions)
        found = sum(change.state == "new" for change in regressions)
        new = f", {found} of them new" if 0 < found < len(regressions) else ""
        day = format_day(first, nights[-1].time)
        headline = f"{plural(len(regressions), 'regression')} since {day}{new}"
        details = _name(regressions, is_alone)
        return TrendAnswer(kind="fail", headline=headline, details=details, others=others)
    slower = [change for change in groups.machine if is_alarm(change)]
    if slower:
        day = format_day(history.night(slower[0].since).time, nights[-1].time)
        clause = describe_change(slower[0], is_alone)
        headline = f"{clause[0].upper()}{clause[1:]} since {day}"
        return TrendAnswer(kind="fail", headline=headline, details="", others=others)
    suspected = [change for change in groups.suspected if change.direction == "worse"]
    if suspected:
        headline = f"No regression in {plural(len(nights), 'night')}, but one is suspected"
        details = _name(suspected, is_alone)
        return TrendAnswer(kind="inconclusive", headline=headline, details=details, others=others)
    headline = f"No regression in {plural(len(nights), 'night')}"
    return TrendAnswer(kind="pass", headline=headline, details="", others=others)


def is_alarm(change: LevelChange) -> bool:
    """Whether a change makes the night fail: new and worse."""
    return change.state == "new" and change.direction == "worse"


def _name(changes: Sequence[LevelChange], is_alone: bool) -> str:
    named = [describe_change(change, is_alone) for change in changes[:_MOST_NAMED]]
    left = len(changes) - len(named)
    return ", ".join([*named, *([f"and {left} more"] if left else [])])


def _list_others(groups: ChangeGroups, is_alone: bool) -> str:
    parts = []
    if groups.suspected:
        undecided = [change.decided_in_nights or 0 for change in groups.suspected]
        when = f" (decided within {plural(max(undecided), 'night')})" if max(undecided) else ""
        parts.append(plural(len(groups.suspected), "suspected change") + when)
    for changes, one in (
        (groups.improvements, "improvement"),
        (groups.machine, "change of the machine"),
        (groups.accepted, "accepted change"),
        (groups.resolved, "regression that went away"),
    ):
        new = [change for change in changes if change.state == "new"]
        named = f" ({_name(new, is_alone)})" if new else ""
        many = one.replace("change", "changes").replace("regression that", "regressions that")
        many = many if many != one else f"{one}s"
        parts += [plural(len(changes), one, many) + named] if changes else []
    return f"Not counted: {', '.join(parts)}." if parts else ""


def describe_change(change: LevelChange, is_alone: bool = True) -> str:
    """Return a change as a clause: `8-steps_fp8 is 5.1 % slower`.

    Where several machines are followed (not `is_alone`), the clause names the machine.
    """
    where = "" if is_alone else f" on {change.machine}"
    worse = change.direction == "worse"
    size = format_size(change).lstrip("+−")
    metric = change.quantity.removesuffix(LOSS)
    if metric != change.quantity:
        verb = f"loses {{}} {'more' if worse else 'less'} ({metric})"
    else:
        title = find_quantity(change.quantity).title
        pair = _VERBS.get(change.quantity, (f"rose by {{}} ({title})", f"fell by {{}} ({title})"))
        verb = pair[0 if worse else 1]
    return f"{change.cell or 'the machine'} {verb.format(size)}{where}"


def format_size(change: LevelChange) -> str:
    """Return the size of a change with its sign: a ratio in percent, a difference in points."""
    before, after = change.before.estimate, change.after.estimate
    quantity = find_quantity(change.quantity)
    sign = "+" if after >= before else "−"
    if quantity.scale == "relative" and before:
        return f"{sign}{format_percent(abs(after / before - 1))}"
    difference = abs(after - before)
    if quantity.unit == "share":
        return f"{sign}{difference * 100:.1f} points"
    return f"{sign}{format_number(difference)}"


def format_level(level: Level, quantity: str) -> str:
    """Return a level with its interval in the quantity's unit; a number without one stays alone."""
    unit = find_quantity(quantity).unit
    if level.low == level.high:
        return format_value(level.estimate, unit)
    value = Interval(estimate=level.estimate, low=level.low, high=level.high, method="level")
    return format_value(value, unit)


def format_day(time: datetime, newest: datetime) -> str:
    """Return a date in UTC, with its year if it is not that of the newest night."""
    year = "" if time.year == newest.year else f" {time.year}"
    return f"{time.day} {time:%B}{year}"


def describe_scope(history: History) -> str:
    """Return what is followed: nights, cells, quantities and dates."""
    nights = history.nights
    first, last = nights[0].time, nights[-1].time
    counts = f"{plural(len(nights), 'night')} of {plural(len(history.cells), 'cell')} and "
    counts += plural(len(history.quantities), "quantity", "quantities")
    return f"{counts}, {format_day(first, last)} to {format_day(last, last)}"
