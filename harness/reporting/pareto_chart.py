"""The interactive Pareto chart, built with Altair, and the Vega runtime that draws it."""

import contextlib
from collections.abc import Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from harness.reporting.layout import (
    PATHS,
    Label,
    LossScale,
    ParetoFrame,
    make_pareto_frame,
    name_colour,
)
from harness.reporting.text import UNPROFILED
from harness.results import Run
from harness.results.format import format_value
from harness.results.losses import WorstLoss
from harness.results.pareto import ParetoPoint
from harness.store.caches import find_cache

if TYPE_CHECKING:
    import altair

HEIGHT_PX = 400
_FONT = "Inter, system-ui, -apple-system, Segoe UI, Helvetica Neue, Arial, sans-serif"
_PADDING = {"left": 8, "top": 6, "right": 6, "bottom": 4}
WIDTH_PX = 860  # what labels are placed for; narrow pages show none
_SECONDS = (
    "datum.value < 0.9995e-3 ? format(datum.value * 1e6, '~r') + ' µs' : datum.value < 0.9995 ? "
    "format(datum.value * 1e3, '~r') + ' ms' : format(datum.value, '~r') + ' s'"
)
_END = "\n/* end of the Vega runtime */\n"


def describe_point(point: ParetoPoint, is_unprofiled: bool) -> tuple[str, ...]:
    """Return the lines of a point's tooltip."""
    worst = point.cell.worst_loss
    lines = [
        f"{format_value(point.image_s, 'seconds')} per image",
        f"speedup {format_value(point.cell.speedup, 'factor')}",
    ]
    if isinstance(worst, WorstLoss):
        lines.append(f"worst loss {format_value(worst.loss, 'share')} ({worst.metric})")
    chance = format_value(point.probability, "probability")
    lines.append(f"on the Pareto front with {chance} probability")
    return (*lines, UNPROFILED) if is_unprofiled else tuple(lines)


def _make_rows(
    points: Sequence[ParetoPoint],
    labels: Sequence[Label],
    anchors: dict[str, str],
    unprofiled: frozenset[str],
) -> list[dict[str, Any]]:
    """Return the data of the chart; the baseline is drawn last, on top."""
    rows = []
    for point, label in zip(points, labels, strict=True):
        cell, time, loss = point.cell, point.image_s, point.loss
        lines = describe_point(point, cell.id in unprofiled)
        rows.append({
            "cell_id": cell.id, "standing": cell.standing, "front": point.on_front,
            "latency_s": time.estimate, "latency_low_s": time.low, "latency_high_s": time.high,
            "loss": loss.estimate, "loss_low": loss.low, "loss_high": loss.high,
            "name": cell.id if label.shown else "", "dx": label.dx, "dy": label.dy,
            "align": label.align, "anchor": anchors[cell.id], "lines": list(lines),
            "description": f"{cell.id}, {cell.standing}: {', '.join(lines)}",
        })  # fmt: skip
    return sorted(rows, key=lambda row: row["standing"] == "baseline")


def make_chart_axes(frame: ParetoFrame) -> "tuple[altair.X, altair.Y]":
    """Return the axes of seconds per image and of losses."""
    import altair as alt

    axis: dict[str, Any] = {"values": frame.time_ticks()} if frame.wide else {}
    axis |= {"labelExpr": _SECONDS, "grid": False, "titleAnchor": "end", "labelFlush": True}
    domain = [frame.low_s, frame.high_s]
    times = alt.Scale(type="linear", domain=domain, nice=False, zero=False)
    if frame.wide:
        times = alt.Scale(type="log", domain=domain, nice=False)
    title = "Seconds per image (median): faster to the left"
    labels = alt.Axis(title=title, labelOverlap="greedy", **axis)
    return alt.X("latency_s:Q", scale=times, axis=labels), _make_loss_axis(frame.scale)


def _make_loss_axis(scale: LossScale) -> "altair.Y":
    """Return the axis of losses, the margins' labels in the colour of failures."""
    import altair as alt

    margins = " || ".join(f"abs(datum.value - {margin}) < 1e-9" for margin in scale.marked)
    fail, muted = alt.value("var(--fail)"), alt.value("var(--muted)")
    labels = alt.Axis(
        title=None,
        values=scale.ticks(0.055),
        labelExpr="format(datum.value * 100, '.3~r') + ' %'",
        labelColor=alt.condition(margins or "false", fail, muted),
    )
    domain = [scale.low, scale.high]
    losses = alt.Scale(type="symlog", constant=scale.knee, domain=domain, nice=False, clamp=True)
    return alt.Y("loss:Q", scale=losses, axis=labels)


def _marks(data: Any, x: "altair.X", y: "altair.Y") -> list[Any]:
    import altair as alt

    shown = list(PATHS)
    colour = alt.Color(
        "standing:N",
        legend=None,
        scale=alt.Scale(domain=shown, range=[name_colour(s) for s in shown]),
    )
    shape = alt.Shape(
        "standing:N", legend=None, scale=alt.Scale(domain=shown, range=[PATHS[s] for s in shown])
    )
    base = alt.Chart(data)
    front = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeWidth=1.5, color="var(--front)", aria=False
    ).encode(x=x, y=y, order="latency_s:Q")  # fmt: skip
    tall = base.mark_rule(strokeWidth=1.5, opacity=0.55, aria=False).encode(
        x=x, y=y, y2="loss_high:Q", color=colour
    )
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
        align=alt.ExprRef("datum.align"), dx=alt.ExprRef("datum.dx"), dy=alt.ExprRef("datum.dy"),
        baseline="middle", fontSize=11.5, color="var(--ink)", aria=False,
        opacity=alt.ExprRef("width < 620 ? 0 : 1"),
    ).encode(x=x, y=y, text="name:N")  # fmt: skip
    return [front, tall, wide, ring, names, dots]


def draw_margin_line(margin: float) -> Any:
    """Return the dashed line of the margin."""
    import altair as alt

    line = alt.Chart(alt.InlineData(values=[{"loss": margin}]))
    return line.mark_rule(
        strokeDash=[5, 4], strokeWidth=1.3, color="var(--fail)", aria=False
    ).encode(y="loss:Q")


def make_pareto_spec(
    run: Run, anchors: dict[str, str], unprofiled: frozenset[str]
) -> dict[str, Any]:
    """Return the Vega-Lite chart of seconds per image against worst loss, in the page's colours."""
    import altair as alt

    points, margin = tuple(run.pareto_points.values()), run.loss_axis.margin
    frame = make_pareto_frame(points, run.loss_axis, (WIDTH_PX, HEIGHT_PX))
    data = alt.InlineData(values=_make_rows(points, frame.labels(points), anchors, unprofiled))
    x, y = make_chart_axes(frame)
    rule = [] if margin is None else [draw_margin_line(margin)]
    chart = alt.layer(*rule, *_marks(data, x, y)).properties(width="container", height=HEIGHT_PX)
    return style_chart(chart)


def style_chart(chart: Any) -> dict[str, Any]:
    """Return the specification of a chart in the page's fonts and colours."""
    size = {"type": "fit-x", "contains": "padding"}
    chart = chart.configure(background="transparent", font=_FONT, autosize=size, padding=_PADDING)
    chart = chart.configure_view(stroke=None).configure_axis(
        labelColor="var(--muted)", titleColor="var(--muted)", domainColor="var(--line)",
        tickColor="var(--line)", gridColor="var(--hair)", labelFontSize=11.5, titleFontSize=12,
        titleFontWeight="normal", labelPadding=6, titlePadding=10,
    )  # fmt: skip
    return dict(chart.to_dict())


def bundle_vega() -> str:
    """Return JavaScript that defines `window.vegaEmbed`: bundled once per user, kept in a cache."""
    import vl_convert

    file = find_cache().folder / f"vega-embed-{version('vl-convert-python')}.js"
    with contextlib.suppress(OSError):
        cached = file.read_text(encoding="utf-8")
        if cached.endswith(_END):
            return cached
    bundled = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    script = bundled.replace("</script", r"<\/script") + _END
    with contextlib.suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(script, encoding="utf-8")
    return script
