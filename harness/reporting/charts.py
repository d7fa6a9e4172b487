"""The interactive Pareto chart, built with Altair."""

from typing import TYPE_CHECKING, Any

from harness.reporting.marks import PATHS, page_colour
from harness.reporting.pareto import LossAxis, Point
from harness.reporting.placement import ParetoFrame, pareto_frame

if TYPE_CHECKING:
    import altair

HEIGHT_PX = 400
_FONT = "Inter, system-ui, -apple-system, Segoe UI, Helvetica Neue, Arial, sans-serif"
_PADDING = {"left": 8, "top": 6, "right": 6, "bottom": 4}
_WIDTH_PX = 860  # what labels are placed for; narrow pages show none
_SECONDS = "datum.value < 0.9995e-3 ? format(datum.value * 1e6, '~r') + ' µs' : datum.value < 0.9995 ? "\
    "format(datum.value * 1e3, '~r') + ' ms' : format(datum.value, '~r') + ' s'"  # fmt: skip


def _rows(points: tuple[Point, ...], anchors: dict[str, str], frame: ParetoFrame) -> list[dict[str, Any]]:
    rows = []
    for point, label in zip(points, frame.labels(points), strict=True):
        row = point.model_dump(exclude={"facts"})
        row |= {"lines": list(point.facts), "anchor": anchors[point.cell_id]}
        row |= {"name": point.cell_id if label.shown else "", "dx": label.dx, "dy": label.dy, "align": label.align}
        rows.append(row | {"description": f"{point.cell_id}, {point.standing}: {', '.join(point.facts)}"})
    return sorted(rows, key=lambda row: row["standing"] == "baseline")  # drawn last, on top


def _axes(frame: ParetoFrame) -> "tuple[altair.X, altair.Y]":
    import altair as alt

    low, high, scale = frame.low_s, frame.high_s, frame.scale
    axis: dict[str, Any] = {"labelExpr": _SECONDS, "grid": False, "titleAnchor": "end", "labelFlush": True}
    axis["labelOverlap"] = "greedy"
    if frame.wide:
        axis["values"] = frame.time_ticks()
    x = alt.X(
        "latency_s:Q",
        scale=alt.Scale(type="log", domain=[low, high], nice=False)
        if frame.wide
        else alt.Scale(type="linear", domain=[low, high], nice=False, zero=False),
        axis=alt.Axis(title="Seconds per image (median): faster to the left", **axis),
    )
    y = alt.Y(
        "loss:Q",
        scale=alt.Scale(type="symlog", constant=scale.knee, domain=[scale.low, scale.high], nice=False, clamp=True),
        axis=alt.Axis(
            title=None,
            values=scale.ticks(0.055),
            labelExpr="format(datum.value * 100, '.3~r') + ' %'",
            labelColor=alt.condition(
                " || ".join(f"abs(datum.value - {margin}) < 1e-9" for margin in scale.marked) or "false",
                alt.value("var(--fail)"),
                alt.value("var(--muted)"),
            ),
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
    dots = base.mark_point(
        size=130, filled=True, opacity=1, cursor="pointer", stroke="var(--card)", strokeWidth=1
    ).encode(x=x, y=y, color=colour, shape=shape, description="description:N", tooltip="cell_id:N")
    names = base.mark_text(
        align=alt.ExprRef("datum.align"), dx=alt.ExprRef("datum.dx"), dy=alt.ExprRef("datum.dy"), baseline="middle",
        fontSize=11.5, color="var(--ink)", opacity=alt.ExprRef("width < 620 ? 0 : 1"), aria=False,
    ).encode(x=x, y=y, text="name:N")  # fmt: skip
    return [front, tall, wide, ring, names, dots]


def _margin_rule(margin: float) -> Any:
    import altair as alt

    line = alt.Chart(alt.InlineData(values=[{"loss": margin}]))
    return line.mark_rule(strokeDash=[5, 4], strokeWidth=1.3, color="var(--fail)", aria=False).encode(y="loss:Q")


def pareto_spec(points: tuple[Point, ...], anchors: dict[str, str], axis: LossAxis) -> dict[str, Any]:
    """Return the Vega-Lite chart of seconds per image against worst loss; colours are the page's CSS variables."""
    import altair as alt

    frame = pareto_frame(points, axis, (_WIDTH_PX, HEIGHT_PX))
    data = alt.InlineData(values=_rows(points, anchors, frame))
    x, y = _axes(frame)
    margin = [] if axis.margin is None else [_margin_rule(axis.margin)]
    chart = alt.layer(*margin, *_marks(data, x, y)).properties(width="container", height=HEIGHT_PX)
    chart = chart.configure(
        background="transparent", font=_FONT, autosize={"type": "fit-x", "contains": "padding"}, padding=_PADDING
    ).configure_view(stroke=None).configure_axis(
        labelColor="var(--muted)", titleColor="var(--muted)", domainColor="var(--line)", tickColor="var(--line)",
        gridColor="var(--hair)", labelFontSize=11.5, titleFontSize=12, titleFontWeight="normal", labelPadding=6,
        titlePadding=10,
    )  # fmt: skip
    return dict(chart.to_dict())
