"""What may have caused a change of level: facts, conditions and parts that changed with it."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import NamedTuple

from harness.core.errors import ResultsError
from harness.core.history import LevelChange, Night
from harness.core.trace import TraceFacts
from harness.core.units import format_percent, format_seconds
from harness.history.quantities import (
    COLD_START,
    CONDITION,
    CONDITIONS,
    LATENCY,
    PART,
    SLOWED_BLOCKS,
    STAGE,
)
from harness.history.table import History
from harness.results.format import format_number
from harness.store import read_trace_facts
from harness.store.layout import RunFolder
from harness.tracing import compare

_NIGHTS = 20
"""The most nights before a change that it is compared with."""
_LEAST_SHARE = 0.2
"""The least share of a change that is attributed to a part of a call."""
_LEAST_CLOCK, _LEAST_DEGREES, _LEAST_LOAD = 0.01, 5.0, 0.05
"""Changes of conditions below these are usual: relative, in °C, and as a share."""
_STAGES = {"other": "the host, between the stages", "vae": "the VAE", "denoiser": "the denoiser"}
_FEW = 8


class _Sides(NamedTuple):
    """The runs before and after a change, in the order of time, and the cell to look at."""

    before: tuple[str, ...]
    after: tuple[str, ...]
    cell: str


def attribute(
    history: History, changes: tuple[LevelChange, ...], root: Path
) -> tuple[LevelChange, ...]:
    """Return the changes with their possible causes in sentences; traces are read under `root`."""
    return tuple(
        change.model_copy(update={"causes": list_causes(history, change, root)})
        for change in changes
    )


def list_causes(history: History, change: LevelChange, root: Path) -> tuple[str, ...]:
    """Return what differs between the nights before and after a change, in sentences.

    The facts that changed with its first night, conditions of the machine, the part of a call or of
    a cold start that moved, and the difference of two traces if both sides have one.
    """
    sides = _find_sides(history, change)
    if sides is None:
        return ()
    facts = tuple(_compare_facts(history, sides))
    parts = tuple(_compare_parts(history, sides, change))
    conditions = tuple(_compare_conditions(history, sides))
    traces = _compare_traces(sides, root) if change.quantity == LATENCY else ()
    if not facts and not conditions:
        facts = (f"No recorded fact differs between {sides.before[-1]} and {sides.after[0]}.",)
    return (*facts, *conditions, *parts, *traces)


def _find_sides(history: History, change: LevelChange) -> _Sides | None:
    cell = change.cell or history.baseline(change.machine)
    runs = history.series(change.machine, cell, change.quantity).runs.tolist()
    if change.since not in runs:
        return None
    place = runs.index(change.since)
    count = min(max(change.before.nights, 1), _NIGHTS)
    before, after = runs[max(place - count, 0) : place], runs[place:]
    return _Sides(tuple(before), tuple(after), cell) if before else None


def _compare_facts(history: History, sides: _Sides) -> Iterator[str]:
    """Yield the facts that changed with the first night of the new level."""
    before, after = (history.night(run) for run in (sides.before[-1], sides.after[0]))
    changed = [
        f"{name}: {before.facts.get(name, 'none')} → {after.facts.get(name, 'none')}"
        for name in dict.fromkeys((*before.facts, *after.facts))
        if before.facts.get(name) != after.facts.get(name)
    ]
    yield from (f"{text}." for text in changed[:_FEW])
    if len(changed) > _FEW:
        yield f"{len(changed) - _FEW} more facts differ: compare {before.run} with {after.run}."
    yield from _state_time(before, after)


def _state_time(before: Night, after: Night) -> Iterator[str]:
    days = (after.time - before.time).days
    if days > 1:
        yield f"{days} days lie between {before.run} and {after.run}."


def _compare_conditions(history: History, sides: _Sides) -> Iterator[str]:
    """Yield the conditions of the machine that differ between both sides, by their medians."""
    before, after = _medians(history, sides, CONDITION)
    for name in (*CONDITIONS, SLOWED_BLOCKS):
        if name not in before or name not in after:
            continue
        mine, theirs = before[name], after[name]
        if _differs(name, mine, theirs):
            shown = (
                (format_percent(value, 0) if _is_share(name) else format_number(value))
                for value in (mine, theirs)
            )
            yield f"{name}: {' → '.join(shown)}."


def _differs(name: str, before: float, after: float) -> bool:
    if _is_share(name):
        return abs(after - before) >= _LEAST_LOAD
    if "°C" in name:
        return abs(after - before) >= _LEAST_DEGREES
    return abs(after - before) >= _LEAST_CLOCK * abs(before)


def _is_share(name: str) -> bool:
    return name in ("load of other programs", SLOWED_BLOCKS)


def _compare_parts(history: History, sides: _Sides, change: LevelChange) -> Iterator[str]:
    """Yield the stages of a call, or the parts of a cold start, that moved most."""
    prefix = {LATENCY: STAGE, COLD_START: PART}.get(change.quantity)
    if prefix is None:
        return
    before, after = _medians(history, sides, prefix)
    scale = _clock_ratio(history, sides, change) if prefix == STAGE else 1.0
    moved = {name: after[name] / scale - before[name] for name in before if name in after}
    ratio = change.after.estimate / change.before.estimate if change.before.estimate else 1.0
    whole = (ratio - 1) * sum(before.values())
    for name, seconds in sorted(moved.items(), key=lambda item: -abs(item[1])):
        if whole and seconds / whole >= _LEAST_SHARE:
            share = format_percent(min(seconds / whole, 1.0), 0)
            text = f"{format_seconds(before[name])} → {format_seconds(before[name] + seconds)}"
            yield f"{share} of the change is in {_name_part(name, prefix)}: {text}."


def _clock_ratio(history: History, sides: _Sides, change: LevelChange) -> float:
    """Return the baseline's slowdown between both sides; 1 for the baseline itself."""
    baseline = history.baseline(change.machine)
    if sides.cell == baseline:
        return 1.0
    levels = [_compute_median(history, runs, baseline, LATENCY) for runs in sides[:2]]
    return levels[1] / levels[0] if levels[0] and levels[1] else 1.0


def _compute_median(
    history: History, runs: tuple[str, ...], cell: str, quantity: str
) -> float | None:
    found = [history.figures(run, cell).get(quantity) for run in runs]
    known = [value for value in found if value is not None]
    return median(known) if known else None


def _medians(
    history: History, sides: _Sides, prefix: str
) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Return name → median over the nights of each side, for figures with a prefix."""
    first, second = (_collect(history, runs, sides.cell, prefix) for runs in sides[:2])
    return first, second


def _collect(history: History, runs: tuple[str, ...], cell: str, prefix: str) -> dict[str, float]:
    values: dict[str, list[float]] = {}
    for run in runs:
        for name, value in history.figures(run, cell).items():
            if name.startswith(prefix):
                values.setdefault(name.removeprefix(prefix), []).append(value)
    return {name: median(found) for name, found in values.items()}


def _name_part(name: str, prefix: str) -> str:
    if prefix == PART:
        return f"the part “{name}” of the cold start"
    if name.startswith("text_encoder"):
        return "the text encoder" + name.removeprefix("text_encoder").replace("_", " ")
    return _STAGES.get(name, f"the stage {name}")


def _compare_traces(sides: _Sides, root: Path) -> tuple[str, ...]:
    """Return the changes between the newest traces of both sides, if both have one."""
    before, after = (_find_trace(runs, sides.cell, root) for runs in sides[:2])
    if before is None or after is None:
        return ()
    return (f"Trace of {after[0]} against {before[0]}:", *compare(before[1], after[1]).sentences)


def _find_trace(runs: tuple[str, ...], cell: str, root: Path) -> tuple[str, TraceFacts] | None:
    for run in reversed(runs):
        folder = root / run
        if RunFolder(folder).run_json.exists():
            try:
                facts = read_trace_facts(folder, cell)
            except ResultsError:
                continue
            if facts is not None:
                return run, facts
    return None
