"""The interactive Pareto chart, built with Altair."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from harness.reporting.marks import PATHS, page_colour
from harness.reporting.pareto import Point, is_wide, time_ticks
from harness.reporting.placement import Box, Label, place_labels
from harness.reporting.scale import LossScale, loss_scale

if TYPE_CHECKING:
    import altair

HEIGHT_PX = 400
_WIDTH_PX = 860  # what labels are placed for; narrow pages show none
_SECONDS = "datum.value < 0.9995e-3 ? format(datum.value * 1e6, '~r') + ' µs' : datum.value < 0.9995 ? "\
    "format(datum.value * 1e3, '~r') + ' ms' : format(datum.value, '~r') + ' s'"  # fmt: skip


def _frame(points: tuple[Point, ...], margin: float) -> tuple[float, float, LossScale]:
    """Return the ends of both axes with some air around the data."""
    low = min(point.latency_low_s for point in points)
    high = max(point.latency_high_s for point in points)
    ends = [end for point in points for end in (point.loss_low, point.loss_high)]
    return (low / 1.25, high * 1.25, loss_scale(ends, margin)) if is_wide(points) else (
        low - 0.12 * (high - low + 0.2 * low), high + 0.12 * (high - low + 0.2 * low), loss_scale(ends, margin)
    )  # fmt: skip


def _spots(points: tuple[Point, ...], margin: float) -> Callable[[float, float], tuple[float, float]]:
    """Return how (seconds, loss) become pixels from the top left of a chart of the usual width."""
    low, high, scale = _frame(points, margin)
    warp = math.log if is_wide(points) else float

    def spot(latency_s: float, loss: float) -> tuple[float, float]:
        x = (warp(latency_s) - warp(low)) / (warp(high) - warp(low)) * _WIDTH_PX
        return x, (1 - scale.position(loss)) * HEIGHT_PX

    return spot


def _obstacles(points: tuple[Point, ...], margin: float) -> list[Box]:
    """Return what labels must not cover: intervals, the front's steps, the margin."""
    spot = _spots(points, margin)
    level = spot(points[0].latency_s, margin)[1]
    boxes = [Box(0, level - 1, _WIDTH_PX, level + 1), Box(0, HEIGHT_PX - 1, _WIDTH_PX, HEIGHT_PX + 30)]
    for point in points:
        x, y = spot(point.latency_s, point.loss)
        boxes.append(Box(x - 2, spot(point.latency_s, point.loss_high)[1], x + 2, spot(point.latency_s, point.loss_low)[1]))
        boxes.append(Box(spot(point.latency_low_s, point.loss)[0], y - 2, spot(point.latency_high_s, point.loss)[0], y + 2))
    front = sorted((point for point in points if point.front), key=lambda point: point.latency_s)
    for here, there in pairwise(front):
        (x, y), (end, bottom) = spot(here.latency_s, here.loss), spot(there.latency_s, there.loss)
        boxes += [Box(x, y - 1, end, y + 1), Box(end - 1, y, end + 1, bottom)]
    return boxes


def _labels(points: tuple[Point, ...], margin: float) -> list[Label]:
    """Return label places: baseline and front first, the others where room is left."""
    spot = _spots(points, margin)
    order = sorted(range(len(points)), key=lambda index: (points[index].standing != "baseline", not points[index].front))
    spots = [spot(points[index].latency_s, points[index].loss) for index in order]
    names = [points[index].cell_id for index in order]
    placed = dict(zip(order, place_labels(spots, names, _WIDTH_PX, _obstacles(points, margin)), strict=True))
    return [placed[index] for index in range(len(points))]


def _rows(points: tuple[Point, ...], anchors: dict[str, str], margin: float) -> list[dict[str, Any]]:
    rows = []
    for point, label in zip(points, _labels(points, margin), strict=True):
        row = point.model_dump(exclude={"facts"})
        row |= {"lines": list(point.facts), "anchor": anchors[point.cell_id]}
        row |= {"name": point.cell_id if label.shown else "", "dx": label.dx, "dy": label.dy, "align": label.align}
        rows.append(row | {"description": f"{point.cell_id}, {point.standing}: {', '.join(point.facts)}"})
    return rows


def _axes(points: tuple[Point, ...], margin: float) -> "tuple[altair.X, altair.Y]":
    import altair as alt

    low, high, scale = _frame(points, margin)
    axis: dict[str, Any] = {"labelExpr": _SECONDS, "grid": False, "titleAnchor": "end", "labelFlush": True}
    if is_wide(points):
        axis["values"] = time_ticks(low, high)
    x = alt.X(
        "latency_s:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False)
        if is_wide(points)
        else alt.Scale(type="linear", domain=[low, high], nice=False, zero=False),
        axis=alt.Axis(title="Seconds per image (median): faster to the left", **axis),
    )
    y = alt.Y(
        "loss:Q",
        scale=alt.Scale(type="symlog", constant=margin, domain=[scale.low, scale.high], nice=False, clamp=True),
        axis=alt.Axis(
            title=None,
            values=scale.ticks(0.055),
            labelExpr="format(datum.value * 100, '.3~r') + ' %'",
            labelColor=alt.condition(f"abs(datum.value - {margin}) < 1e-9", alt.value("var(--fail)"), alt.value("var(--muted)")),
        ),
    )
    return x, y


def _marks(data: Any, x: "altair.X", y: "altair.Y") -> list[Any]:
    import altair as alt

    shown = list(PATHS)
    colour = alt.Color("standing:N", legend=None, scale=alt.Scale(domain=shown, range=[page_colour(s) for s in shown]))
    shape = alt.Shape("standing:N", legend=None, scale=alt.Scale(domain=shown, range=[PATHS[s] for s in shown]))
    base = alt.Chart(data)
    front = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeWidth=1.5, color="var(--front)", aria=False
    ).encode(x=x, y=y, order="latency_s:Q")  # fmt: skip
    tall = base.mark_rule(strokeWidth=1.5, opacity=0.55, aria=False).encode(x=x, y=y, y2="loss_high:Q", color=colour)
    tall = tall.encode(y=alt.Y("loss_low:Q"))
    wide = base.mark_rule(strokeWidth=1.5, opacity=0.55, aria=False).encode(
        x=alt.X("latency_low_s:Q"), x2="latency_high_s:Q", y=y, color=colour
    )
    ring = base.transform_filter("datum.front").mark_point(
        shape="circle", size=420, filled=False, strokeWidth=1.2, color="var(--front)", aria=False
    ).encode(x=x, y=y)  # fmt: skip
    dots = base.mark_point(size=130, filled=True, opacity=1, cursor="pointer", stroke="var(--card)", strokeWidth=1).encode(
        x=x, y=y, color=colour, shape=shape, description="description:N", tooltip="cell_id:N"
    )
    names = base.mark_text(
        align=alt.ExprRef("datum.align"), dx=alt.ExprRef("datum.dx"), dy=alt.ExprRef("datum.dy"), baseline="middle",
        fontSize=11.5, color="var(--ink)", opacity=alt.ExprRef("width < 620 ? 0 : 1"), aria=False,
    ).encode(x=x, y=y, text="name:N")  # fmt: skip
    return [front, tall, wide, ring, names, dots]


def _margin_rule(margin: float) -> Any:
    import altair as alt

    line = alt.Chart(alt.InlineData(values=[{"loss": margin}]))
    return line.mark_rule(strokeDash=[5, 4], strokeWidth=1.3, color="var(--fail)", aria=False).encode(y="loss:Q")


def pareto_spec(points: tuple[Point, ...], anchors: dict[str, str], margin: float) -> dict[str, Any]:
    """Return the Vega-Lite chart of seconds per image against worst loss; colours are the page's CSS variables."""
    import altair as alt

    data = alt.InlineData(values=_rows(points, anchors, margin))
    x, y = _axes(points, margin)
    chart = alt.layer(_margin_rule(margin), *_marks(data, x, y)).properties(width="container", height=HEIGHT_PX)
    chart = chart.configure(
        background="transparent", font="inherit", autosize={"type": "fit-x", "contains": "padding"}, padding=4
    ).configure_view(stroke=None).configure_axis(
        labelColor="var(--muted)", titleColor="var(--muted)", domainColor="var(--line)", tickColor="var(--line)",
        gridColor="var(--hair)", labelFontSize=11.5, titleFontSize=12, titleFontWeight="normal", labelPadding=6,
        titlePadding=10,
    )  # fmt: skip
    return dict(chart.to_dict())
