"""The joint Pareto chart of several runs: a colour per technique, a shape per run."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from harness.reporting.compared_runs import BASELINE, FamilyPoint, JointChart
from harness.reporting.layout import (
    FAMILY_COLOURS,
    RUN_SHAPES,
    Label,
    ParetoFrame,
    make_pareto_frame,
    place_labels,
)
from harness.reporting.pareto_chart import (
    HEIGHT_PX,
    WIDTH_PX,
    describe_point,
    draw_margin_line,
    make_chart_axes,
    style_chart,
)

if TYPE_CHECKING:
    import altair

OTHER_COLOUR = "#8a909c"
"""The colour of techniques after the eighth."""
Row = dict[str, Any]


def colour_techniques(techniques: Sequence[str]) -> dict[str, str]:
    """Return technique → colour, in order of appearance, without the baseline."""
    names = [name for name in dict.fromkeys(techniques) if name != BASELINE]
    colours = [*FAMILY_COLOURS, *[OTHER_COLOUR] * len(names)]
    return dict(zip(names, colours, strict=False))


def shape_runs(letters: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return run → shape: Vega's name and matplotlib's."""
    return {letter: RUN_SHAPES[index % len(RUN_SHAPES)] for index, letter in enumerate(letters)}


def label_steps(chart: JointChart, frame: ParetoFrame) -> list[Label]:
    """Return a place for the number of steps of each point."""
    spots = [frame.spot(p.point.image_s.estimate, p.point.loss.estimate) for p in chart.points]
    obstacles = frame.obstacles([p.point for p in chart.points])
    return place_labels(spots, [name_steps(p) for p in chart.points], frame.size[0], obstacles)


def name_steps(found: FamilyPoint) -> str:
    """Return the number of steps of a point's cell, its label in the chart."""
    return found.point.cell.planned.cell.by_axis.get("steps", "")


def frame_chart(chart: JointChart, size: tuple[float, float]) -> ParetoFrame:
    """Return the axes of a joint chart of this size in pixels."""
    return make_pareto_frame([p.point for p in chart.points], chart.axis, size)


def _make_rows(chart: JointChart, labels: Sequence[Label], anchors: dict[str, str]) -> list[Row]:
    rows = []
    for found, label in zip(chart.points, labels, strict=True):
        cell, time, loss = found.point.cell, found.point.image_s, found.point.loss
        lines = (f"{found.run}: {found.technique}", *describe_point(found.point, False))
        rows.append({
            "cell_id": cell.id, "run": found.run, "technique": found.technique,
            "family": f"{found.run} {found.technique}", "standing": cell.standing,
            "passes": cell.standing in ("pass", "baseline"), "front": found.on_front,
            "latency_s": time.estimate, "latency_low_s": time.low, "latency_high_s": time.high,
            "loss": loss.estimate, "loss_low": loss.low, "loss_high": loss.high,
            "name": name_steps(found) if label.shown else "", "dx": label.dx, "dy": label.dy,
            "align": label.align, "anchor": anchors.get(f"{found.run} {cell.id}", ""),
            "lines": list(lines), "description": f"{cell.id}: {', '.join(lines)}",
        })  # fmt: skip
    return rows


def make_joint_spec(chart: JointChart, groups: dict[str, str], anchors: dict[str, str]) -> Row:
    """Return the Vega-Lite chart of all runs; `groups` maps a run to the one it shares a front
    with."""
    import altair as alt

    frame = frame_chart(chart, (WIDTH_PX, HEIGHT_PX))
    rows = _make_rows(chart, label_steps(chart, frame), anchors)
    for row in rows:
        row["group"] = groups[row["run"]]
    x, y = make_chart_axes(frame)
    margin = chart.axis.margin
    rule = [] if margin is None else [draw_margin_line(margin)]
    layers = _marks(alt.Chart(alt.InlineData(values=rows)), x, y, rows)
    joined = alt.layer(*rule, *layers).resolve_scale(color="shared")
    return style_chart(joined.properties(width="container", height=HEIGHT_PX))


def _marks(base: Any, x: "altair.X", y: "altair.Y", rows: list[Row]) -> list[Any]:
    import altair as alt

    colours = {BASELINE: "var(--ink)", **colour_techniques([row["technique"] for row in rows])}
    shapes = shape_runs(list(dict.fromkeys(row["run"] for row in rows)))
    colour = alt.Color(
        "technique:N", legend=None, scale=alt.Scale(domain=[*colours], range=[*colours.values()])
    )
    shape = alt.Shape(
        "run:N",
        legend=None,
        scale=alt.Scale(domain=[*shapes], range=[name for name, _ in shapes.values()]),
    )
    ordered = {"order": "latency_s:Q", "x": x, "y": y}
    front = base.transform_filter("datum.front").mark_line(
        interpolate="step-after", strokeWidth=1.5, color="var(--front)", aria=False
    ).encode(detail="group:N", **ordered)  # fmt: skip
    family = base.transform_filter("datum.technique !== 'baseline'").mark_line(
        strokeWidth=1.2, strokeDash=[2, 3], opacity=0.8, aria=False
    ).encode(detail="family:N", color=colour, **ordered)  # fmt: skip
    tall = base.mark_rule(strokeWidth=1.3, opacity=0.5, aria=False).encode(
        x=x, y=alt.Y("loss_low:Q"), y2="loss_high:Q", color=colour
    )
    wide = base.mark_rule(strokeWidth=1.3, opacity=0.5, aria=False).encode(
        x=alt.X("latency_low_s:Q"), x2="latency_high_s:Q", y=y, color=colour
    )
    dots = base.mark_point(size=120, opacity=1, cursor="pointer", strokeWidth=1.8).encode(
        x=x, y=y, color=colour, shape=shape, description="description:N", tooltip="cell_id:N",
        fill=alt.condition("datum.passes", colour, alt.value("var(--card)")),
    )  # fmt: skip
    names = base.mark_text(
        align=alt.ExprRef("datum.align"), dx=alt.ExprRef("datum.dx"), dy=alt.ExprRef("datum.dy"),
        baseline="middle", fontSize=11, color="var(--ink)", aria=False,
        opacity=alt.ExprRef("width < 620 ? 0 : 1"),
    ).encode(x=x, y=y, text="name:N")  # fmt: skip
    return [front, family, tall, wide, dots, names]
