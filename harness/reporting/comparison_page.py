"""The page of a comparison: one file that needs no network."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from harness.core.units import Absent
from harness.reporting.compared_runs import (
    BASELINE,
    ComparedCell,
    ComparedRuns,
    build_joint_chart,
)
from harness.reporting.comparison import CellPair, Comparison
from harness.reporting.comparison_chart import colour_techniques, make_joint_spec, shape_runs
from harness.reporting.layout import PATHS
from harness.reporting.pareto_chart import bundle_vega
from harness.reporting.rendering import embed_json, make_environment, read_assets
from harness.reporting.text import STANDINGS, name_loss_axis
from harness.results import Run, Standing
from harness.store.write import write_atomically

_ASSETS = ("style.css", "page.js")
_SVG_SHAPES = {
    "circle": "M1,0A1,1,0,1,1,-1,0A1,1,0,1,1,1,0Z",
    "square": "M-.9,-.9L.9,-.9L.9,.9L-.9,.9Z",
    "triangle-up": "M0,-1.05L1.1,.85L-1.1,.85Z",
    "diamond": "M0,-1.2L1,0L0,1.2L-1,0Z",
    "triangle-down": "M0,1.05L1.1,-.85L-1.1,-.85Z",
    "cross": "M-.4,-1L.4,-1L.4,-.4L1,-.4L1,.4L.4,.4L.4,1L-.4,1L-.4,.4L-1,.4L-1,-.4L-.4,-.4Z",
}


class LegendEntry(NamedTuple):
    """A family or a run in the legend: its words, colour and SVG path."""

    name: str
    colour: str
    path: str


def write_comparison(found: ComparedRuns, runs: Sequence[Run], out: Path) -> Path:
    """Write index.html of a comparison and return it; MachineError if it cannot be written."""
    index = out / "index.html"
    write_atomically(index, render_comparison(found, runs).encode(), "--out")
    return index


def render_comparison(found: ComparedRuns, runs: Sequence[Run]) -> str:
    """Return the HTML of a comparison of these loaded runs."""
    from markupsafe import Markup

    chart = build_joint_chart(runs)
    groups = {run.letter: run.group for run in found.runs}
    anchors = {f"{row.run} {row.cell}": anchor_row(row) for row in found.cells}
    environment = make_environment()
    spec = make_joint_spec(chart, groups, anchors) if chart.points else None
    return str(
        environment.get_template("comparison.html.j2").render(
            found=found,
            paths=PATHS,
            standings=count_standings(found.cells),
            words=STANDINGS,
            anchor=anchor_row,
            is_absent=lambda value: isinstance(value, Absent),
            shared=list_shared,
            axis_title=name_loss_axis(chart.axis).capitalize(),
            margin=chart.axis.margin,
            families=list_families(found.cells),
            shapes=list_shapes(found),
            chart=Markup(embed_json(spec)) if spec else None,
            runtime=Markup(bundle_vega() if spec else ""),
            **read_assets(environment, _ASSETS),
        )
    )


def anchor_row(row: ComparedCell) -> str:
    """Return a unique name of a row that is safe in an address."""
    return f"{row.run}-" + re.sub(r"[^A-Za-z0-9._+-]+", "-", row.cell)


def count_standings(rows: Sequence[ComparedCell]) -> tuple[tuple[Standing, str, int], ...]:
    """Return the standings of all cells with their counts."""
    names: dict[Standing, int] = {}
    for row in rows:
        names[row.standing] = names.get(row.standing, 0) + 1
    return tuple((name, STANDINGS[name], count) for name, count in names.items())


def list_families(rows: Sequence[ComparedCell]) -> tuple[LegendEntry, ...]:
    """Return the legend of techniques."""
    colours = {BASELINE: "var(--ink)", **colour_techniques([row.technique for row in rows])}
    circle = _SVG_SHAPES["circle"]
    return tuple(LegendEntry(name, colour, circle) for name, colour in colours.items())


def list_shapes(found: ComparedRuns) -> tuple[LegendEntry, ...]:
    """Return the legend of runs."""
    shapes = shape_runs([run.letter for run in found.runs])
    return tuple(
        LegendEntry(
            f"{run.letter}: {run.title}", "var(--muted)", _SVG_SHAPES[shapes[run.letter][0]]
        )
        for run in found.runs
    )


def list_shared(found: Comparison) -> tuple[CellPair, ...]:
    """Return the cells that both runs measured."""
    return tuple(pair for pair in found.cells if pair.latency_a_s and pair.latency_b_s)
