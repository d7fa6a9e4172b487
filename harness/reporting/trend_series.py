"""The series of a trend page: values packed for its script, levels, and small drawings."""

import base64
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.base import Frozen
from harness.core.history import Level, LevelChange
from harness.history.quantities import find_quantity
from harness.history.table import Series
from harness.reporting.trend_changes import ChangeKind
from harness.reporting.trend_text import format_size
from harness.results.format import format_value

WIDTH, HEIGHT = 132.0, 36.0
"""The size of a small drawing in its own units."""
_EDGE, _MOST_POINTS = 3.0, 120
_TOP = 65534
_MISSING = 65535
_NOISE_SHARE = 10.0
"""The drawn range is at least so many standard deviations of the noise high: noise looks small."""

Floats = NDArray[np.float64]


class Step(Frozen):
    """A level from one night to another (places in the machine's nights), with its interval."""

    start: int
    end: int
    estimate: float
    low: float
    high: float
    kind: ChangeKind | None = None
    """The kind of change that began it; None for the first level."""


class ChangeMark(Frozen):
    """A change in a drawing: the place of its first night, of the night that found it, its size."""

    place: int
    found: int
    kind: ChangeKind
    label: str
    anchor: str


class SparkStep(Frozen):
    """A level in a small drawing."""

    left: float
    right: float
    top: float
    kind: str


class Spark(Frozen):
    """A small drawing: the paths of the values and of the newest value, and levels."""

    path: str
    steps: tuple[SparkStep, ...]
    newest: str


class TrendSeries(Frozen):
    """One quantity of one cell on one machine, ready to be drawn."""

    place: int = 0
    """Its place in the page's list of series."""
    machine: int = 0
    cell: str
    quantity: str
    title: str
    unit: str
    latest: str
    moved: str
    """The size of its newest change, drifts in one; empty if nothing changed."""
    kind: str
    """The kind of its newest change; `calm` without one."""
    spark: Spark
    drawn: dict[str, Any]
    """What the page's script draws large."""


def build_series(
    series: Series,
    places: dict[str, int],
    changes: Sequence[tuple[LevelChange, ChangeMark]],
) -> TrendSeries:
    """Return a series with its changes; `places` are the machine's nights in the order of time."""
    quantity = find_quantity(series.quantity)
    at = np.array([places[run] for run in series.runs.tolist()], dtype=np.int64)
    ordered = sorted(changes, key=lambda pair: pair[1].place)
    steps = list_steps(series.values, at, len(places), ordered)
    low, high = choose_range(series, at, steps)
    calm = not ordered
    return TrendSeries(
        cell=series.cell,
        quantity=series.quantity,
        title=quantity.title,
        unit=quantity.unit,
        latest=format_value(float(series.values[-1]), quantity.unit),
        moved=_sum_up(ordered),
        kind="calm" if calm else ordered[-1][1].kind,
        spark=draw_spark((at, series.values), len(places), steps, (low, high)),
        drawn={
            "cell": series.cell,
            "title": quantity.title,
            "unit": quantity.unit,
            **pack(series, at, len(places)),
            "y": [low, high],
            "steps": [[s.start, s.end, s.estimate, s.low, s.high, s.kind] for s in steps],
            "marks": [[m.place, m.found, m.kind, m.label, m.anchor] for _, m in ordered],
        },
    )


def list_steps(
    values: Floats,
    at: NDArray[np.int64],
    nights: int,
    changes: Sequence[tuple[LevelChange, ChangeMark]],
) -> list[Step]:
    """Return the levels of a series in the order of time: medians, with the intervals of detection.

    Detection takes out what all cells share, so its own levels may lie off the drawn values.
    """
    cuts = [int(at[0]), *(mark.place for _, mark in changes), nights]
    found = [changes[0][0].before, *(change.after for change, _ in changes)] if changes else [None]
    kinds = [None, *(mark.kind for _, mark in changes)]
    steps = []
    for (start, end), level, kind in zip(pairwise(cuts), found, kinds, strict=True):
        here = values[(at >= start) & (at < end)]
        if here.size:
            middle = float(np.median(here))
            low, high = (middle, middle) if level is None else _move(level, middle)
            step = Step(start=start, end=end - 1, estimate=middle, low=low, high=high, kind=kind)
            steps.append(step)
    return steps


def _move(level: Level, middle: float) -> tuple[float, float]:
    """Return the ends of a level's interval around another middle."""
    return middle - (level.estimate - level.low), middle + (level.high - level.estimate)


def _sum_up(changes: Sequence[tuple[LevelChange, ChangeMark]]) -> str:
    """Return the size of the newest change, with those before it in the same direction."""
    shown = [change for change, mark in changes if mark.kind != "resolved"]
    if not shown:
        return ""
    last = shown[-1]
    same = takewhile(lambda change: change.direction == last.direction, reversed(shown))
    first = [*same][-1]
    return format_size(last.model_copy(update={"before": first.before}))


def choose_range(
    series: Series, at: NDArray[np.int64], steps: Sequence[Step]
) -> tuple[float, float]:
    """Return the drawn range: all levels and usual nights, in which noise stays small.

    A single night far outside is drawn at the edge.
    """
    level = np.full(int(at[-1]) + 1, steps[0].estimate)
    for step in steps:
        level[step.start : step.end + 1] = step.estimate
    residuals = series.values - level[at]
    noise = 1.4826 * float(np.median(np.abs(residuals)))
    estimates = [step.estimate for step in steps]
    usual = np.abs(residuals) <= 8 * noise
    inside = series.values[usual] if usual.any() else series.values
    low, high = min(*estimates, float(inside.min())), max(*estimates, float(inside.max()))
    middle, half = (low + high) / 2, (high - low) / 2
    least = max(_NOISE_SHARE / 2 * noise, 0.01 * abs(middle), 1e-9)
    half = 1.12 * max(half, least)
    floor = -0.04 * half if float(series.values.min()) >= 0 else middle - half
    return max(middle - half, floor), middle + half


def pack(series: Series, at: NDArray[np.int64], nights: int) -> dict[str, Any]:
    """Return values and interval ends as 16-bit numbers in base64, with the range they cover."""
    ends = np.concatenate([series.values, series.low, series.high])
    ends = ends[np.isfinite(ends)]
    low, high = float(ends.min()), float(ends.max())
    span = (high - low) or 1.0
    packed = np.full((3, nights), _MISSING, dtype="<u2")
    for row, column in zip(packed, (series.values, series.low, series.high), strict=True):
        kept = np.isfinite(column)
        row[at[kept]] = np.rint((column[kept] - low) / span * _TOP)
    return {"data": base64.b64encode(packed.tobytes()).decode(), "range": [low, span]}


def draw_spark(
    points: tuple[NDArray[np.int64], Floats],
    nights: int,
    steps: Sequence[Step],
    limits: tuple[float, float],
) -> Spark:
    """Return the small drawing of a series; beyond 120 nights each point is a median of several."""
    low, high = limits

    def x(place: float) -> float:
        return round(_EDGE + (WIDTH - 2 * _EDGE) * place / max(nights - 1, 1), 1)

    def y(value: float) -> float:
        share = min(max((value - low) / (high - low), 0.0), 1.0)
        return round(_EDGE + (HEIGHT - 2 * _EDGE) * (1 - share), 1)

    groups = max(1, min(len(points[0]), _MOST_POINTS))
    at, values = (np.array_split(column, groups) for column in points)
    middles = [(float(np.mean(a)), float(np.median(v))) for a, v in zip(at, values, strict=True)]
    path = "L".join(f"{x(place):g},{y(value):g}" for place, value in middles)
    drawn = tuple(
        SparkStep(left=x(s.start), right=x(s.end), top=y(s.estimate), kind=s.kind or "calm")
        for s in steps
    )
    place, value = middles[-1]
    return Spark(path=f"M{path}", steps=drawn, newest=f"M{x(place):g},{y(value):g}h0")
